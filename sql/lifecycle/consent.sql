-- Somebody said yes.
insert into lifecycle.consents (address_hash, given_at, source, wording)
values (%(address_hash)s, %(given_at)s, %(source)s, %(wording)s)
on conflict (address_hash, purpose, given_at) do nothing
