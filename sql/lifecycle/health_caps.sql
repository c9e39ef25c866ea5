-- Grain: one user who got more messages in some days than the cap allows, of the last 30 days.
select
    user_number,
    max(messages)
from (
    select
        user_number,
        count(*) over (
            partition by user_number
            order by called_at
            range between make_interval(days => %(cap_days)s) preceding and current row
        ) as messages
    from lifecycle.outbox
    where state in ('sent', 'unknown', 'sending') and called_at > clock_timestamp() - interval '30 days'
) as counted
where messages > %(cap_messages)s
group by user_number
order by user_number
limit 20
