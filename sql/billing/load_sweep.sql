-- Grain: one row, also before the first sweep of an account and mode.
-- Why the newest event: before the first sweep it tells since when the receiver has been silent. It
-- is looked for only then, because the inbox is large.
select
    sweep.swept_to,
    sweep.unread_to,
    sweep.reading_to,
    sweep.finished_at,
    case
        when sweep.swept_to is null then (
            select max(created_at)
            from billing.inbox
            where account_id = %(account_id)s and livemode = %(livemode)s
        )
    end as newest_event_at
from (select 1) as always
left join billing.sweeps as sweep
    on sweep.account_id = %(account_id)s and sweep.livemode = %(livemode)s
