-- One row: an id that is merged into nobody, or into an id that is merged itself, if there is one.
select min(user_id) as chained
from records
where fault is null and (segment is null or segment in (select user_id from records where fault is null))
