-- Grain: one payout whose lines added up, as a month's newest audit says. Runs in Postgres.
-- Why: the lines of a reconciled payout never change, and to list them again costs requests.
select payout.id as payout_id
from (
    select sections
    from audit.audits
    where account_id = %(account_id)s and livemode = %(livemode)s and month = %(month)s
    order by as_of desc, finished_at desc, audit_id desc
    limit 1
) as newest
cross join lateral jsonb_array_elements(newest.sections) as section (told)
cross join lateral jsonb_array_elements_text(
    coalesce(section.told #> '{sides,itemised,payout_ids}', '[]')
) as payout (id)
where section.told ->> 'section' = 'payouts'
