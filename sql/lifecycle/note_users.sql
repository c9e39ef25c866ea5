-- Notes users of whose customers something came to be known.
insert into lifecycle.news (user_number, rebills)
select
    t.user_number,
    true
from unnest(%(users)s::int []) as t (user_number)
