-- Questions of one way in and grain that split cohorts by a property which is not asked for any more;
-- their cells go with them.
delete from cohorts.definitions
where
    entry = %(entry)s
    and grain = %(grain)s
    and segment_by <> ''
    and not segment_by = any(%(kept)s::text [])
