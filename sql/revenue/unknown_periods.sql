-- One row per period and currency in which an item of unknown price is live, from the snapshot before
-- to the period's own: no amount of it is known.
select distinct
    l.period,
    p.currency
from (
    select
        period,
        look_us,
        lag(look_us, 1, -9223372036854775807) over (order by period) as open_us
    from looks
) as l
inner join periods as p
    on l.look_us >= p.from_us and l.open_us < coalesce(p.until_us, 9223372036854775807)
where p.is_unknown
