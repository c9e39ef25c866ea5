-- Grain: one kind of object, with how many of its objects Stripe showed in a state that the mirror
-- cannot use and has known nothing newer of since.
select
    refused.object,
    count(distinct (refused.account_id, refused.livemode, refused.id)) as objects
from billing.fetched_states as refused
where
    refused.refused is not null
    and not exists (
        select 1
        from stripe.objects as known
        where
            known.account_id = refused.account_id
            and known.livemode = refused.livemode
            and known.object = refused.object
            and known.id = refused.id
            and known.state_at > refused.state_at
    )
group by refused.object
order by refused.object
