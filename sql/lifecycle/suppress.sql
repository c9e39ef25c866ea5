-- Grain: one row: whether the address was not suppressed for this reason before.
select lifecycle.suppress(%(address_hash)s, %(reason)s, %(source)s)
