-- Removes the notes that are done with.
delete from lifecycle.news
where news_id = any(%(notes)s::bigint [])
