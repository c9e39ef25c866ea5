-- Grain: one user to look at again: somebody of whom there is news, or whose stage may change on a
-- day that is over. `notes`: what is done with when the user was looked at; a note that another
-- transaction commits meanwhile may have a smaller id, and stays.
select
    n.user_number,
    bool_or(n.rereads) as rereads,
    bool_or(n.rebills) as rebills,
    array_agg(n.news_id) as notes
from lifecycle.news as n
where n.from_on is null or n.from_on <= %(last_on)s
group by n.user_number
order by n.user_number
limit %(batch)s
