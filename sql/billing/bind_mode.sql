-- Says which of Stripe's modes this database is for, once: the first key decides. Grain: one row, or
-- none if it was said before, or if events of the other mode are already part of the mirror.
insert into billing.stripe_mode (livemode, bound_by, bound_at)
select
    %(livemode)s,
    %(account_id)s,
    %(now)s
where
    not exists (
        select 1 from billing.inbox
        where livemode = not %(livemode)s and state = 'applied'
    )
on conflict (is_only_row) do nothing
