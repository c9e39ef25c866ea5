-- Grain: the first answer to a question that was whole. No row: it was never answered.
select c.response
from insights.model_calls as c
where c.cache_key = %(cache_key)s and c.outcome = 'answered' and c.response is not null
order by c.call_id
limit 1
