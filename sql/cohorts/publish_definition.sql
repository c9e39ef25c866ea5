-- One published question and the instant up to which its answer knows the facts.
insert into cohorts.definitions (entry, grain, segment_by, as_of, options, published_at)
values (%(entry)s, %(grain)s, %(segment_by)s, %(as_of)s, %(options)s, %(now)s)
on conflict (entry, grain, segment_by) do update set
as_of = excluded.as_of,
options = excluded.options,
published_at = excluded.published_at
