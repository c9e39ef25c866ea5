-- Grain: one customer with a discount, now or ever, of whom something came to be known after an instant.
-- In Postgres.
select d.parent_id as id
from stripe.discounts as d
where
    d.account_id = %(account_id)s
    and d.livemode = %(livemode)s
    and d.parent_object = 'customer'
    and (
        exists (
            select from billing.inbox as told
            where
                told.account_id = d.account_id
                and told.livemode = d.livemode
                and told.object = 'customer'
                and told.object_id = d.parent_id
                and told.applied_at > %(known_at)s
        )
        or exists (
            select from billing.fetched_states as told
            where
                told.account_id = d.account_id
                and told.livemode = d.livemode
                and told.object = 'customer'
                and told.id = d.parent_id
                and (told.stored_at > %(known_at)s or told.state_at > %(known_at)s)
        )
    )
group by d.parent_id
