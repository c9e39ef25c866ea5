-- One row per user who entered on one of the wanted days, local day and currency in which the user paid.
select
    money.user_number,
    users.entry_day,
    segments.segment,
    money.day,
    money.currency,
    money.minor
from money
inner join users on money.user_number = users.user_number
inner join wanted on users.entry_day = wanted.day
left join segments on users.user_number = segments.user_number
