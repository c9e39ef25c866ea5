-- Audit: issued credit notes of the month on both sides. Grain: one currency. Runs in the engine.
select
    c.currency,
    count(*) as credit_notes,
    coalesce(sum(c.amount) filter (where c.status = 'issued'), 0) as issued_minor,
    coalesce(sum(m.amount) filter (where m.status = 'issued'), 0) as mirrored_minor
from credit_notes as c
left join mirrored as m on c.id = m.id
where c.created < $cutoff
group by c.currency
order by c.currency
