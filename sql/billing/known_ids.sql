-- Grain: one object of a kind that the mirror knows alive and that may have changed unheard: made from
-- `since` on, or in a status that something leaves. Made before `until`: later ones are in no list yet.
select id
from stripe.objects
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and object = %(object)s
    and deleted_at is null
    and coalesce(created_at, '-infinity') < %(until)s
    and (
        created_at >= %(since)s::timestamptz
        or coalesce(payload ->> 'status', '') <> all(%(closed)s::text [])
    )
