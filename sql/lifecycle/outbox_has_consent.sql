-- Grain: one row: whether a consent of the address was told that holds.
select exists (
    select 1
    from lifecycle.consents
    where address_hash = %(address_hash)s and purpose = 'marketing' and withdrawn_at is null and source <> 'kit'
)
