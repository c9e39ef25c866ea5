-- Grain: one row: the first local day of a stage.
select min(day) from lifecycle.transitions where superseded_at is null
