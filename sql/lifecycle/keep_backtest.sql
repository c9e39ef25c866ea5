-- What a back-test came to; a later one of the same day replaces it.
insert into lifecycle.backtests (
    definition, snapshot_on, outcome, horizon_days, users, happened, auc, calibration, made_at
)
values (
    %(definition)s, %(snapshot_on)s, %(outcome)s, %(horizon_days)s, %(users)s, %(happened)s,
    %(auc)s, %(calibration)s, %(made_at)s
)
on conflict (definition, snapshot_on, outcome) do update set
horizon_days = excluded.horizon_days,
users = excluded.users,
happened = excluded.happened,
auc = excluded.auc,
calibration = excluded.calibration,
made_at = excluded.made_at
