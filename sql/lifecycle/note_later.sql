-- Notes users of whom nothing is known before a day that is not over: they are looked at then.
insert into lifecycle.news (user_number, from_on)
select
    t.user_number,
    t.from_on
from unnest(%(users)s::int [], %(days)s::date []) as t (user_number, from_on)
