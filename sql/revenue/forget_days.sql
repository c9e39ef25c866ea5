-- Forgets the days of a policy from a first one on (null: all), and those that are not over. In Postgres.
delete from revenue.mrr_daily
where policy = %(policy)s and (%(since)s::date is null or day >= %(since)s or day >= %(until)s)
