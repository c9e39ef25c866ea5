-- Nobody writes to this address until Kit was asked.
select lifecycle.hold(%(address_hash)s, %(kit_id)s, %(source)s)
