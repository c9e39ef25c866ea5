-- Grain: one mode of Stripe (is it live?) of which events are part of the mirror: none, one or both.
select modes.livemode
from (values (true), (false)) as modes (livemode)
where
    exists (
        select 1 from billing.inbox
        where inbox.livemode = modes.livemode and inbox.state = 'applied'
    )
