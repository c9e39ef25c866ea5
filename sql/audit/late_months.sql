-- Grain: one audited month of a zone; a refund or dispute of one of its charges reached the mirror after its last audit.
with audited as (
    select
        month,
        max(as_of) as as_of
    from audit.audits
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and tz = %(tz)s
        and month >= %(first)s
        and month < %(end)s
    group by month
),

parts as (
    select
        charge,
        applied_at
    from stripe.refunds
    where account_id = %(account_id)s and livemode = %(livemode)s
    union all
    select
        charge,
        applied_at
    from stripe.disputes
    where account_id = %(account_id)s and livemode = %(livemode)s
)

select distinct audited.month
from parts
inner join stripe.charges as charges
    on
        charges.account_id = %(account_id)s
        and charges.livemode = %(livemode)s
        and parts.charge = charges.id
inner join audited
    on audited.month = date_trunc('month', charges.created_at at time zone %(tz)s)::date
where parts.applied_at > audited.as_of
