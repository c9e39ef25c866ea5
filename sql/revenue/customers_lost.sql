-- One row per period and currency in which customers leave or come: members of the opening who are gone at
-- the end (left), others who were there in between (entered) and those of them who are gone
-- (entered_left). A pause counts as gone only under count_paused.
select
    s.period,
    s.currency,
    count(*) filter (where s.was_customer and s.is_gone) as opening_left,
    count(*) filter (where not s.was_customer and s.has_risen) as entered,
    count(*) filter (where not s.was_customer and s.has_risen and s.is_gone) as entered_left
from (
    select
        steps.*,
        not steps.is_customer and (options.count_paused or steps.cause <> 'paused') as is_gone
    from steps
    cross join options
) as s
group by s.period, s.currency
