-- Grain: one user who was there on a local day, with the stage at its end and what the score is made
-- of. Uses after the day never count: where the last one lies later, the last one up to it is looked up.
with there as (
    select
        u.user_number,
        u.first_on,
        case
            when u.since_on <= %(day)s then u.stage
            else (
                select t.to_stage
                from lifecycle.transitions as t
                where t.user_number = u.user_number and t.superseded_at is null and t.day <= %(day)s
                order by t.day desc
                limit 1
            )
        end as stage
    from lifecycle.users as u
    where u.first_on <= %(day)s
),

lately as (
    select
        d.user_number,
        bit_or(1::int8 << (%(day)s::date - d.day)) as bits
    from lifecycle.user_days as d
    where d.day between %(day)s::date - 55 and %(day)s
    group by d.user_number
),

uses as (
    select
        l.user_number,
        l.what,
        case
            when l.last_on <= %(day)s then l.last_on
            else (
                select max(d.day)
                from lifecycle.user_days as d
                where
                    d.user_number = l.user_number
                    and d.day <= %(day)s
                    and (l.what = '' or d.features @> array[l.what])
            )
        end as last_on
    from lifecycle.last_uses as l
),

used as (
    select
        user_number,
        %(day)s::date - max(last_on) filter (where what = '') as last_age,
        string_agg((%(day)s::date - last_on)::text, ',' order by what) filter (where what <> '') as ages
    from uses
    where last_on is not null
    group by user_number
)

select
    t.user_number,
    t.stage,
    coalesce(l.bits, 0)::int8 as active_bits,
    u.last_age::int4 as last_age,
    (%(day)s::date - t.first_on + 1)::int4 as lived,
    coalesce(u.ages, '') as feature_ages
from there as t
left join lately as l on t.user_number = l.user_number
left join used as u on t.user_number = u.user_number
order by t.user_number
