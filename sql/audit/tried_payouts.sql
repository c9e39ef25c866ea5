-- Grain: one payout whose lines were longer than the pages it was given, as a month's newest audit
-- says, with those pages. Runs in Postgres.
-- Why: such payouts are read last, so that the others are added up whatever their length.
select
    payout.id as payout_id,
    payout.pages::int4 as pages
from (
    select sections
    from audit.audits
    where account_id = %(account_id)s and livemode = %(livemode)s and month = %(month)s
    order by as_of desc, finished_at desc, audit_id desc
    limit 1
) as newest
cross join lateral jsonb_array_elements(newest.sections) as section (told)
cross join lateral jsonb_each_text(
    coalesce(section.told #> '{sides,itemised,tried}', '{}')
) as payout (id, pages)
where section.told ->> 'section' = 'payouts'
