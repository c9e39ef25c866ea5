-- Grain: one wanted id that a list holds. Runs in the engine.
select w.id from wanted as w semi join listed as l on w.id = l.id
