-- The consent that a claimed message rests on.
with given as (
    insert into lifecycle.consents as stored (address_hash, given_at, source)
    values (%(address_hash)s, %(given_at)s, 'kit')
    on conflict (address_hash, purpose, given_at) do update set source = stored.source
    returning consent_id
)

update lifecycle.outbox as o
set consent_id = given.consent_id
from given
where o.message_id = %(message_id)s and o.state = 'sending' and o.claimed_at = %(claimed_at)s
