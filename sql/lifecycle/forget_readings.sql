-- How far events and billing were read: they are read again from the start.
delete from lifecycle.readings
where what in ('events', 'billing', 'zones')
