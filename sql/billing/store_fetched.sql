-- Grain: one fetched state. One that is known moves on in time: it was true again, later.
-- Why runs: when an entry of a nested list ended is read from the first state that lacks it. So a
-- state that was shown before and after another one is two runs; entries that ended meanwhile say so.
-- Of what history is read from, a state begins a run too when an event or another state came after its
-- first time: what was known of those days must stay what it was.
-- One that the mirror could not use and that comes again is told as if it were new: stored now.
-- Why both ends apart: together the greatest of each say what all the sightings said.
with new as (
    select *
    from unnest(
        %(account_ids)b::text [],
        %(livemodes)b::boolean [],
        %(objects)b::text [],
        %(ids)b::text [],
        %(fingerprints)b::bytea [],
        %(bodies)b::bytea [],
        %(api_versions)b::text [],
        %(state_froms)b::timestamptz [],
        %(state_ats)b::timestamptz [],
        %(gones)b::boolean []
    )
        as new (
            account_id, livemode, object, id, fingerprint, body, api_version, state_from, state_at,
            gone
        )
),

judged as (
    select
        new.*,
        run.first_at,
        run.first_at is null
        or (
            new.state_at > run.state_at
            and new.object in ('subscription', 'invoice', 'customer')
            and (
                exists (
                    select 1
                    from stripe.subscription_items as entry
                    where
                        entry.account_id = new.account_id
                        and entry.livemode = new.livemode
                        and entry.subscription = new.id
                        and entry.deleted_at > run.first_at
                        and entry.deleted_at <= run.state_at
                )
                or exists (
                    select 1
                    from stripe.invoice_line_items as entry
                    where
                        entry.account_id = new.account_id
                        and entry.livemode = new.livemode
                        and entry.invoice = new.id
                        and entry.deleted_at > run.first_at
                        and entry.deleted_at <= run.state_at
                )
                or exists (
                    select 1
                    from stripe.discounts as entry
                    where
                        entry.account_id = new.account_id
                        and entry.livemode = new.livemode
                        and entry.parent_object = new.object
                        and entry.parent_id = new.id
                        and entry.deleted_at > run.first_at
                        and entry.deleted_at <= run.state_at
                )
            )
        )
        or (
            new.state_at > run.state_at
            and new.object in ('subscription', 'customer')
            and (
                exists (
                    select 1
                    from billing.inbox as told
                    where
                        told.account_id = new.account_id
                        and told.livemode = new.livemode
                        and told.object = new.object
                        and told.object_id = new.id
                        and told.created_at > run.first_from - interval '1 second'
                        and told.state = 'applied'
                )
                or exists (
                    select 1
                    from billing.fetched_states as other
                    where
                        other.account_id = new.account_id
                        and other.livemode = new.livemode
                        and other.object = new.object
                        and other.id = new.id
                        and other.fingerprint <> new.fingerprint
                        and other.state_at >= run.first_from
                )
            )
        ) as begins_run
    from new
    left join lateral (
        select
            first_from,
            first_at,
            state_at
        from billing.fetched_states as known
        where
            known.account_id = new.account_id
            and known.livemode = new.livemode
            and known.object = new.object
            and known.id = new.id
            and known.fingerprint = new.fingerprint
        order by known.first_at desc
        limit 1
    ) as run on true
),

moved as (
    update billing.fetched_states as known
    set
        state_from = greatest(known.state_from, judged.state_from),
        state_at = greatest(known.state_at, judged.state_at),
        stored_at = case when known.refused is null then known.stored_at else %(now)s end,
        refused = null
    from judged
    where
        not judged.begins_run
        and known.account_id = judged.account_id
        and known.livemode = judged.livemode
        and known.object = judged.object
        and known.id = judged.id
        and known.fingerprint = judged.fingerprint
        and known.first_at = judged.first_at
        and (
            known.state_from < judged.state_from
            or known.state_at < judged.state_at
            or known.refused is not null
        )
)

insert into billing.fetched_states (
    account_id, livemode, object, id, fingerprint, first_from, first_at, state_from, state_at, body,
    api_version, gone, source, stored_at
)
select
    account_id,
    livemode,
    object,
    id,
    fingerprint,
    state_from as first_from,
    state_at as first_at,
    state_from,
    state_at,
    body,
    api_version,
    gone,
    %(source)s as source,
    %(now)s as stored_at
from judged
where begins_run
order by account_id, livemode, object, id, fingerprint
