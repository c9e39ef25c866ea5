-- Zone and start of weeks by which users are in cohorts from now on; no row when they were so before.
update cohorts.calendar set
    tz = %(tz)s,
    week_anchor = %(week_anchor)s
where (tz, week_anchor) is distinct from (%(tz)s, %(week_anchor)s)
