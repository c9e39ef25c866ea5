-- Grain: the one row that says what this database is for.
select mode from operate.mode;
