-- Grain: the one row that says which of Stripe's modes this database is for; none before a key was used.
select livemode from billing.stripe_mode
