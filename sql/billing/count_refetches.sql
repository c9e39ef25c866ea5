-- Grain: one reason why objects wait for an answer of Stripe, with how many have for long.
select
    reason,
    count(*) as objects
from billing.refetches
where queued_at < %(queued_before)s
group by reason
order by reason
