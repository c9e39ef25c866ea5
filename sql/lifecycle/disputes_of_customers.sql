-- Grain: one dispute of asked customers, no inquiries. `closed_at`: when it was told to be over; null
-- while it is open.
select
    c.customer,
    d.id,
    d.created_at,
    case
        when d.status in ('won', 'lost', 'prevented', 'warning_closed') or d.deleted_at is not null
            then coalesce(
                (
                    select min(i.created_at)
                    from billing.inbox as i
                    where
                        i.account_id = d.account_id
                        and i.livemode = d.livemode
                        and i.object = 'dispute'
                        and i.object_id = d.id
                        and i.type = 'charge.dispute.closed'
                ),
                d.state_from
            )
    end as closed_at
from stripe.charges as c
inner join stripe.disputes as d
    on c.account_id = d.account_id and c.livemode = d.livemode and c.id = d.charge
where
    c.account_id = %(account_id)s
    and c.livemode = %(livemode)s
    and c.customer = any(%(customers)s::text [])
    and d.created_at is not null
    and d.status not like 'warning\_%%'
