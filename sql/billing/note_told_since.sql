-- Grain: one account and mode whose oldest event was not noted yet; the inbox is read once for it.
update billing.sweeps
set told_since = (
    select min(created_at)
    from billing.inbox
    where account_id = %(account_id)s and livemode = %(livemode)s
)
where account_id = %(account_id)s and livemode = %(livemode)s and told_since is null
