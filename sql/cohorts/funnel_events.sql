-- One row per event that counts: who, when, and the stages that it can serve, as bits (stage 1 is bit
-- 0; 0 is an event of no stage). A stage may need an event in the same session, or properties: detail
-- holds the session and then the properties, with character 31 between.
with counted as (
    select
        r.user_id,
        r.at_microsecond,
        r.event,
        r.detail,
        nullif(split_part(r.detail, chr(31), 1), '') as session_id,
        r.segment as value
    from records as r
    cross join options as o
    where
        r.fault is null
        and r.at_microsecond < o.as_of
        and r.user_id not in (select x.user_id from excluded as x)
        and (o.everyone or r.user_id in (select k.user_id from known as k))
),

plain_stages as (
    select
        event,
        bit_or(bits) as bits
    from stages
    where needs is null and conditions = 0
    group by event
),

met as (
    select
        c.event,
        c.detail,
        s.bits
    from counted as c
    inner join stages as s on c.event = s.event and s.conditions > 0
    inner join conditions as k
        on s.number = k.number and split_part(c.detail, chr(31), k.place) = k.value
    group by c.event, c.detail, s.number, s.bits, s.conditions
    having count(distinct k.place) = s.conditions
),

property_stages as (
    select
        event,
        detail,
        bit_or(bits) as bits
    from met
    group by event, detail
),

session_stages as (
    select
        s.event,
        c.session_id,
        bit_or(s.bits) as bits
    from stages as s
    inner join (
        select distinct
            event,
            session_id
        from counted
        where session_id is not null
    ) as c on s.needs = c.event
    group by s.event, c.session_id
),

served as (
    select
        c.user_id,
        c.at_microsecond,
        c.value,
        coalesce(p.bits, 0) | coalesce(s.bits, 0) | coalesce(q.bits, 0) as bits
    from counted as c
    left join plain_stages as p on c.event = p.event
    left join property_stages as q on c.event = q.event and c.detail = q.detail
    left join session_stages as s on c.event = s.event and c.session_id = s.session_id
)

select
    s.user_id,
    s.at_microsecond,
    s.bits,
    case when o.by_segment then k.segment else s.value end as value
from served as s
cross join options as o
left join known as k on s.user_id = k.user_id
