-- Marts: settled payments of the books by local day. Contract: docs/metrics.md, "Payment".
with fresh as materialized (
    select
        account_id,
        livemode,
        (created_at at time zone %(tz)s)::date as day,
        currency,
        count(*) as payments,
        sum(amount_minor)::bigint as gross_minor,
        sum(refunded_minor)::bigint as refunded_minor,
        sum(disputed_minor)::bigint as disputed_minor
    from billing.payments
    where status = 'succeeded' and captured
    group by 1, 2, 3, 4
),

gone as (
    delete from marts.payments_daily as kept
    where
        not exists (
            select from fresh as f
            where
                f.account_id = kept.account_id
                and f.livemode = kept.livemode
                and f.day = kept.day
                and f.currency = kept.currency
        )
    returning 1
),

written as (
    insert into marts.payments_daily
    (
        account_id, livemode, day, currency, tz, payments, gross_minor, refunded_minor, disputed_minor,
        net_minor
    )
    select
        f.account_id,
        f.livemode,
        f.day,
        f.currency,
        %(tz)s,
        f.payments,
        f.gross_minor,
        f.refunded_minor,
        f.disputed_minor,
        f.gross_minor - f.refunded_minor - f.disputed_minor
    from fresh as f
    where not exists (
        select from marts.payments_daily as same
        where
            same.account_id = f.account_id
            and same.livemode = f.livemode
            and same.day = f.day
            and same.currency = f.currency
            and (same.tz, same.payments, same.gross_minor, same.refunded_minor, same.disputed_minor)
            = (%(tz)s, f.payments, f.gross_minor, f.refunded_minor, f.disputed_minor)
    )
    on conflict (account_id, livemode, day, currency) do update set
    tz = excluded.tz,
    payments = excluded.payments,
    gross_minor = excluded.gross_minor,
    refunded_minor = excluded.refunded_minor,
    disputed_minor = excluded.disputed_minor,
    net_minor = excluded.net_minor,
    refreshed_at = excluded.refreshed_at
    returning 1
)

select
    (select count(*) from written) as written,
    (select count(*) from gone) as removed;
