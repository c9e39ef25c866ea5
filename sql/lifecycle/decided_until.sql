-- Grain: one row: the last local day that stages were decided for; null before the first.
select max(decided_on) from lifecycle.users
