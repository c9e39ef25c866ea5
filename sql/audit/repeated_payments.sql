-- Audit: payments that the books hold in several rows. Grain: one match id. Runs in the engine.
select match_id from books group by match_id having count(*) > 1
