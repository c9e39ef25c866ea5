-- Audit: credit notes of the month that the mirror lacks, or holds otherwise. Grain: one credit note;
-- what was made or voided after $cutoff is left alone. Runs in the engine.
select
    c.id,
    c.currency,
    c.amount,
    c.status,
    c.invoice,
    c.customer,
    m.amount as mirrored_minor,
    m.status as mirrored_status
from credit_notes as c
left join mirrored as m on c.id = m.id
where
    c.created < $cutoff
    and coalesce(c.voided_at, 0) < $cutoff
    and (
        case when c.status = 'issued' then c.amount else 0 end
        <> coalesce(case when m.status = 'issued' then m.amount else 0 end, 0)
    )
order by c.amount desc, c.id
