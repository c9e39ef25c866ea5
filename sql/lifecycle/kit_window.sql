-- Grain: one row: the database's time, until when Kit is left alone, and when it saw each request of
-- the window at the latest: a request that is under way may still be seen now.
with told as (select clock_timestamp() as now)

select
    t.now,
    (select b.until from lifecycle.kit_blocks as b where b.what = %(what)s) as until,
    array(
        select
            case
                when c.ended_at is not null then c.ended_at
                when c.called_at > t.now - make_interval(secs => %(lease)s) then t.now
                else c.called_at + make_interval(secs => %(lease)s)
            end
        from lifecycle.kit_calls as c
        where
            coalesce(c.ended_at, c.called_at + make_interval(secs => %(lease)s))
            > t.now - make_interval(secs => %(seconds)s)
    ) as moments
from told as t
