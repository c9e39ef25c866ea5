-- Grain: one state of an asked subscription that the ledger holds, by event or fetched; a fetched
-- one the first and the last time it was shown. States that the mirror could not use are left out.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
select
    asked.id,
    told.body,
    told.api_version,
    told.state_from,
    told.state_at
from unnest(%(accounts)s::text []) as account (id)
cross join unnest(%(ids)s::text []) as asked (id)
cross join lateral (
    select
        inbox.body,
        inbox.api_version,
        inbox.created_at as state_from,
        inbox.created_at as state_at
    from billing.inbox
    where
        inbox.account_id = account.id
        and inbox.livemode = %(livemode)s
        and inbox.object = 'subscription'
        and inbox.object_id = asked.id
        and inbox.state = 'applied'
    union all
    select
        fetched.body,
        fetched.api_version,
        sighting.state_from,
        sighting.state_at
    from billing.fetched_states as fetched
    cross join lateral (
        select
            fetched.first_from as state_from,
            fetched.first_at as state_at
        union
        select
            fetched.state_from,
            fetched.state_at
    ) as sighting
    where
        fetched.account_id = account.id
        and fetched.livemode = %(livemode)s
        and fetched.object = 'subscription'
        and fetched.id = asked.id
        and fetched.refused is null
        and not fetched.gone
    offset 0
) as told
