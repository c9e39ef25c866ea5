-- Grain: the one digest that was told last of the newest week before a day. No row: there is none.
select d.document
from insights.digests as d
where d.week_end < %(week_end)s
order by d.week_end desc, d.made_at desc, d.digest_sha256 asc
limit 1
