-- Writes how one published question about activity was asked, and how far it is known.
insert into cohorts.activity_definitions as d (question, name, segment_by, as_of, options, published_at)
values (%(question)s, %(name)s, %(segment_by)s, %(as_of)s, %(options)s, %(now)s)
on conflict (question, name, segment_by) do update set
    as_of = excluded.as_of,
    options = excluded.options,
    published_at = excluded.published_at
where (d.as_of, d.options) is distinct from (excluded.as_of, excluded.options)
