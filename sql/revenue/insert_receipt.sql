-- Keeps a receipt; the same one again changes nothing. In Postgres.
insert into revenue.receipts (
    receipt_id, policy, grain, period_start, options, code_version, as_of, known_at, inputs, figures,
    rows_artifact
)
values (
    %(receipt_id)s, %(policy)s, 'month', %(period_start)s, %(options)s, %(code_version)s, %(as_of)s,
    %(known_at)s, %(inputs)s, %(figures)s, %(rows_artifact)s
)
on conflict (receipt_id) do nothing
