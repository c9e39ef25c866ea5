-- Grain: one alert claimed by a deliverer that died. Why unknown: it may have died after the call.
update alerts.outbox
set state = 'unknown', last_error = 'the deliverer ended before it wrote down the outcome'
where state = 'sending' and claimed_at < %(before)s
