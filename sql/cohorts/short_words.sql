-- One row per day and 63 users: who of them was active, a bit each (63, so that a signed number stays
-- positive). It says nothing of when they entered, so it holds whatever becomes known of them later.
select
    day,
    user_number // 63 as word,
    bit_or(cast(1 as bigint) << cast(user_number % 63 as integer)) as bits
from activity
group by day, user_number // 63
