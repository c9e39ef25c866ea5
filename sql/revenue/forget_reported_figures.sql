-- Removes figures in another reporting currency, or of policies that are not published. In Postgres.
delete from revenue.figures
where
    policy <> ''
    and reporting_currency <> ''
    and (reporting_currency <> %(into)s or policy <> all (%(kept)s))
