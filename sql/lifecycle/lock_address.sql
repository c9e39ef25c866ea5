-- Holds the address for one call, beside other calls; who suppresses it waits for them.
select lifecycle.lock_address(%(address_hash)s, true)
