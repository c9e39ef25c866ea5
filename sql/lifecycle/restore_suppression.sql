-- A suppression that the database does not know any more.
insert into lifecycle.suppressions (address_hash, reason, source, since, lifted_at, lifted_why)
values (
    %(address_hash)s, %(reason)s, 'restored', %(since)s, %(lifted_at)s,
    case when %(lifted_at)s::timestamptz is not null then 'restored' end
)
on conflict (address_hash, reason) do nothing
