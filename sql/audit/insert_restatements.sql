-- Grain: one change since a month was closed. Left out as a whole when the log has grown since the
-- audit read it: the next audit then sees what is left.
insert into audit.restatements (
    account_id,
    livemode,
    month,
    tz,
    side,
    object,
    object_id,
    currency,
    audit_id,
    before,
    after,
    before_minor,
    after_minor,
    difference_minor,
    reason,
    evidence,
    first_seen_at
)
select
    %(account_id)s,
    %(livemode)s,
    %(month)s,
    %(tz)s,
    fresh.side,
    fresh.object,
    fresh.object_id,
    fresh.currency,
    %(audit_id)s,
    fresh.before,
    fresh.after,
    fresh.before_minor,
    fresh.after_minor,
    fresh.difference_minor,
    fresh.reason,
    fresh.evidence,
    fresh.first_seen_at
from jsonb_to_recordset(%(entries)s) as fresh (
    side text,
    object text,
    object_id text,
    currency text,
    before jsonb,
    after jsonb,
    before_minor bigint,
    after_minor bigint,
    difference_minor bigint,
    reason text,
    evidence text [],
    first_seen_at timestamptz
)
where
    (
        select count(*)
        from audit.restatements as known
        where
            known.account_id = %(account_id)s
            and known.livemode = %(livemode)s
            and known.month = %(month)s
            and known.tz = %(tz)s
            and known.audit_id <> %(audit_id)s
    ) = %(known)s
    and exists (
        select 1
        from audit.closes as c
        where
            c.account_id = %(account_id)s
            and c.livemode = %(livemode)s
            and c.month = %(month)s
            and c.tz = %(tz)s
            and c.file_sha256 = %(file_sha256)s
    )
on conflict (account_id, livemode, month, tz, side, object_id, currency, audit_id) do nothing
