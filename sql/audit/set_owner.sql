-- Grain: one finding (of one month) that gets an owner, or loses it.
update audit.findings
set owner = %(owner)s
where account_id = %(account_id)s and livemode = %(livemode)s and fingerprint = %(fingerprint)s
