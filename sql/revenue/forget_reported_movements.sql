-- Removes movements in another reporting currency, or of policies that are not published. In Postgres.
delete from revenue.mrr_movements
where reporting_currency <> '' and (reporting_currency <> %(into)s or policy <> all (%(kept)s))
