-- Grain: one wanted id that none of the known objects has. Runs in the engine.
select w.id from wanted as w anti join known as k on w.id = k.id
