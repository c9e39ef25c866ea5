-- Grain: one customer of an account and mode of whose subscriptions, or of whose discounts, something
-- came to be known after an instant; also through a coupon or a price that they use. In Postgres.
-- Why not by the last time a state was shown: shown again, it says nothing new, and a re-list shows all.
with told as (
    select
        object,
        object_id as id
    from billing.inbox
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and applied_at > %(since)s
        and object in ('subscription', 'discount', 'coupon', 'price', 'customer')
    union
    select
        object,
        id
    from billing.fetched_states
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object in ('subscription', 'coupon', 'price', 'customer')
        and stored_at > %(since)s
)

select id as customer
from told
where object = 'customer'
union
select s.customer
from stripe.subscriptions as s
inner join told as t on t.object = 'subscription' and t.id = s.id
where s.account_id = %(account_id)s and s.livemode = %(livemode)s
union
select s.customer
from told as t
inner join stripe.subscription_items as i on t.object = 'price' and t.id = i.price
inner join stripe.subscriptions as s
    on i.account_id = s.account_id and i.livemode = s.livemode and i.subscription = s.id
where i.account_id = %(account_id)s and i.livemode = %(livemode)s
union
select d.customer
from told as t
inner join stripe.discounts as d on t.object = 'coupon' and t.id = d.coupon
where d.account_id = %(account_id)s and d.livemode = %(livemode)s and d.customer is not null
