-- Cohorts: who entered when, the retention that is published, and functions that work one cell out of
-- the facts as they are now. Contract: docs/metrics.md, "Cohorts and retention"; docs/cohorts.md.
create schema cohorts;

-- Grain: the one calendar by which users are put into cohorts.
create table cohorts.calendar (
    is_only boolean primary key default true check (is_only),
    tz text not null default 'UTC',
    week_anchor date not null default '1970-01-05'
);
comment on table cohorts.calendar is 'Grain: one row. The zone of local days and the start of weeks; a refresh writes what it used.';
comment on column cohorts.calendar.tz is 'IANA name of the zone in which an instant becomes a day.';
comment on column cohorts.calendar.week_anchor is 'A day on which a week starts; weeks start 7 days apart before and after it.';
insert into cohorts.calendar default values;

-- Grain: one user and way in. First come, the cohort stays.
create table cohorts.user_cohorts (
    entry text not null default 'signup'
    check (entry in ('signup', 'first_activity', 'first_event', 'first_payment', 'first_mrr')),
    user_number integer not null,
    user_id text,
    entered_at timestamptz check (isfinite(entered_at)),
    entered_on date not null check (isfinite(entered_on)),
    week_start date not null,
    month_start date not null,
    assigned_at timestamptz not null default now(),
    primary key (entry, user_number),
    check (entered_on - week_start between 0 and 6),
    check (month_start = date_trunc('month', entered_on::timestamp)::date)
);
comment on table cohorts.user_cohorts is 'Grain: one user and way in, with the cohorts by day, week and month. Users who do not count are not here.';
comment on column cohorts.user_cohorts.user_number is 'Number in activity.user_numbers; no foreign key, whose check could make a sign-up fail.';
comment on column cohorts.user_cohorts.user_id is 'Id of the user as text; null once the user was deleted.';
comment on column cohorts.user_cohorts.entered_at is 'Instant of entry (UTC); null where only its day is known.';
comment on column cohorts.user_cohorts.entered_on is 'Local day of entry; the cohort by day.';
comment on column cohorts.user_cohorts.week_start is 'First day of the cohort by week.';
comment on column cohorts.user_cohorts.month_start is 'First day of the cohort by month.';
-- Which query each index serves: docs/cohorts.md, "Indexes".
create index user_cohorts_by_user on cohorts.user_cohorts (user_id);
create index user_cohorts_by_day on cohorts.user_cohorts (entry, entered_on) include (user_number, entered_at);
create index user_cohorts_by_week on cohorts.user_cohorts (entry, week_start);
create index user_cohorts_by_month on cohorts.user_cohorts (entry, month_start);
create index user_cohorts_by_assignment on cohorts.user_cohorts (assigned_at);

-- Grain: one question whose answer is published.
create table cohorts.definitions (
    entry text not null check (entry in ('signup', 'first_activity', 'first_event', 'first_payment', 'first_mrr')),
    grain text not null check (grain in ('day', 'week', 'month')),
    segment_by text not null default '',
    as_of timestamptz not null,
    options jsonb not null,
    published_at timestamptz not null,
    primary key (entry, grain, segment_by)
);
comment on table cohorts.definitions is 'Grain: one published question: entry, grain, and the property that splits cohorts.';
comment on column cohorts.definitions.segment_by is 'Property that splits the cohorts; empty for none.';
comment on column cohorts.definitions.as_of is 'Exclusive: a fact at this instant or later is not in the answer.';
comment on column cohorts.definitions.options is 'Every option of the question as it holds, with metric and version.';

-- Grain: one published cell: question, cohort, segment, period and currency of what was paid.
create table cohorts.retention_metrics (
    entry text not null,
    grain text not null,
    segment_by text not null default '',
    cohort_start date not null,
    segment text,
    period_index integer not null check (period_index >= 0),
    currency text,
    cohort_size bigint not null check (cohort_size >= 0),
    users bigint check (users between 0 and cohort_size),
    rate numeric check (rate >= 0),
    rate_low double precision,
    rate_high double precision,
    events bigint check (events >= 0),
    state text not null check (state in ('closed', 'open', 'not_begun')),
    final boolean not null,
    revenue_minor bigint,
    revenue numeric,
    revenue_per_customer_minor bigint,
    revenue_per_customer numeric,
    cumulative_revenue_minor bigint,
    cumulative_revenue numeric,
    cumulative_per_customer_minor bigint,
    cumulative_per_customer numeric,
    logo_churn numeric,
    revenue_churn numeric,
    nrr numeric,
    published_at timestamptz not null default now(),
    foreign key (entry, grain, segment_by) references cohorts.definitions on delete cascade,
    check (state <> 'closed' or users is not null)
);
comment on table cohorts.retention_metrics is 'Grain: one cell: cohort, segment, period and currency. Without money one row a cell, currency null.';
comment on column cohorts.retention_metrics.segment is 'Value of segment_by; null where a user has none, or cohorts are not split.';
comment on column cohorts.retention_metrics.rate is 'users / cohort_size, 6 decimals half-even; null unless the cell is closed.';
comment on column cohorts.retention_metrics.rate_low is 'Wilson 95 % interval of the rate, with rate_high.';
comment on column cohorts.retention_metrics.state is 'closed, open or not_begun at as_of of the definition; only closed cells have values.';
comment on column cohorts.retention_metrics.final is 'Activity after as_of cannot change the cell any more.';
comment on column cohorts.retention_metrics.revenue_minor is 'Paid in the period, minor units of currency.';
comment on column cohorts.retention_metrics.revenue is 'Paid in the period, exact major units, where no currency is known.';
comment on column cohorts.retention_metrics.published_at is 'When this row was written last; a refresh leaves equal rows alone.';
create unique index retention_metrics_key on cohorts.retention_metrics
(entry, grain, segment_by, cohort_start, period_index, segment, currency) nulls not distinct;
create index retention_metrics_by_period on cohorts.retention_metrics
(entry, grain, segment_by, period_index, cohort_start) include (users, cohort_size, state);
create index retention_metrics_not_closed on cohorts.retention_metrics
(entry, grain, segment_by, cohort_start) where state <> 'closed';
create index retention_metrics_by_segment on cohorts.retention_metrics
(segment_by, segment, grain, cohort_start) where segment is not null;
create index retention_metrics_by_publication on cohorts.retention_metrics (published_at);

-- Grain: one published cohort (and segment). Money of one currency is never added to another's.
create view cohorts.cohort_overview with (security_invoker = true) as
with cells as (
    select distinct entry, grain, segment_by, cohort_start, segment, period_index, cohort_size, users, rate, state
    from cohorts.retention_metrics
),
paid as (
    select
        entry,
        grain,
        segment_by,
        cohort_start,
        segment,
        jsonb_object_agg(currency, revenue_minor order by currency) as revenue_minor
    from (
        select entry, grain, segment_by, cohort_start, segment, currency, sum(revenue_minor) as revenue_minor
        from cohorts.retention_metrics
        where state = 'closed' and currency is not null and revenue_minor is not null
        group by entry, grain, segment_by, cohort_start, segment, currency
    ) as by_currency
    group by entry, grain, segment_by, cohort_start, segment
)
select
    c.entry,
    c.grain,
    nullif(c.segment_by, '') as segment_by,
    c.segment,
    c.cohort_start,
    max(c.cohort_size) as cohort_size,
    count(*) filter (where c.state = 'closed') as closed_periods,
    max(c.period_index) filter (where c.state = 'closed') as latest_period,
    (array_agg(c.users order by c.period_index desc) filter (where c.state = 'closed'))[1] as latest_users,
    (array_agg(c.rate order by c.period_index desc) filter (where c.state = 'closed'))[1] as latest_rate,
    array_agg(c.rate order by c.period_index) as rates,
    p.revenue_minor,
    d.as_of
from cells as c
inner join cohorts.definitions as d
    on c.entry = d.entry and c.grain = d.grain and c.segment_by = d.segment_by
left join paid as p
    on
        c.entry = p.entry and c.grain = p.grain and c.segment_by = p.segment_by
        and c.cohort_start = p.cohort_start and c.segment is not distinct from p.segment
group by c.entry, c.grain, c.segment_by, c.segment, c.cohort_start, p.revenue_minor, d.as_of;
comment on view cohorts.cohort_overview is 'Grain: one published cohort and segment. rates: by period from 0, null where not closed; revenue_minor: currency -> paid in closed periods.';

-- The number of the period that holds a day; the next period has the next number.
create function cohorts.period_number(day date, grain text, week_anchor date) returns integer
language sql immutable parallel safe
return case grain
    when 'day' then day - date '1970-01-01'
    when 'week' then floor((day - week_anchor) / 7.0)::integer
    when 'month' then (extract(year from day) * 12 + extract(month from day) - 1)::integer
end;
comment on function cohorts.period_number(date, text, date) is 'Number of the day, week or month that holds a day; null for another grain.';

create function cohorts.period_start(number integer, grain text, week_anchor date) returns date
language sql immutable parallel safe
return case grain
    when 'day' then date '1970-01-01' + number
    when 'week' then week_anchor + 7 * number
    when 'month' then (date '0001-01-01' + make_interval(months => number - 12))::date
end;
comment on function cohorts.period_start(integer, text, date) is 'First day of a period; null for another grain.';

-- Postgres rounds halves away from zero, the contract rounds them to even.
create function cohorts.rate_of(users bigint, base bigint) returns numeric
language sql immutable parallel safe
return case when base > 0 then
    (
        div(users * 1000000::numeric, base)
        + case
            when 2 * mod(users * 1000000::numeric, base) > base then 1
            when 2 * mod(users * 1000000::numeric, base) = base then mod(div(users * 1000000::numeric, base), 2)
            else 0
        end
    ) * 0.000001
end;
comment on function cohorts.rate_of(bigint, bigint) is 'users / base, 6 decimals, half-even; null without a base.';

create function cohorts.check_option(name text, value text, allowed text []) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if value is null or value <> all (allowed) then
        raise exception '% is not known: %', name, coalesce(quote_literal(left(value, 40)), 'null')
            using errcode = 'invalid_parameter_value', hint = 'allowed are ' || array_to_string(allowed, ', ');
    end if;
end
$$;
comment on function cohorts.check_option(text, text, text []) is 'Raises naming what is allowed.';

-- At the end of time every cell would be closed, and a period nobody has lived a zero.
create function cohorts.check_instant(as_of timestamptz) returns void
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not isfinite(as_of) then
        raise exception 'as_of is not known: %', as_of
            using errcode = 'invalid_parameter_value', hint = 'give an instant, or leave it out for that of what is published';
    end if;
end
$$;
comment on function cohorts.check_instant(timestamptz) is 'Raises unless null or finite.';

-- One cell out of the facts as they are now, by the rules of the pipeline.
create function cohorts.measure_cell(
    cohort date,
    period_index integer,
    grain text default 'month',
    entry text default 'signup',
    as_of timestamptz default null,
    retention text default 'on',
    periods text default 'calendar',
    period_days integer default null,
    min_events integer default 1,
    events text [] default null
) returns table (cohort_start date, cohort_size bigint, users bigint, rate numeric, state text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    tz text;
    anchor date;
    until timestamptz := measure_cell.as_of;
    span integer;
    number integer;
    next_start date;
    first_day date;
    end_day date;
    is_endless boolean := measure_cell.retention = 'on_or_after' and measure_cell.period_index > 0;
    is_calendar boolean := measure_cell.periods = 'calendar';
    needed integer := case when measure_cell.period_index = 0 then 1 else measure_cell.min_events end;
begin
    perform cohorts.check_option('grain', measure_cell.grain, array['day', 'week', 'month']);
    perform cohorts.check_option(
        'entry', measure_cell.entry, array['signup', 'first_activity', 'first_event', 'first_payment', 'first_mrr']
    );
    perform cohorts.check_option('retention', measure_cell.retention, array['on', 'on_or_after']);
    perform cohorts.check_option('periods', measure_cell.periods, array['calendar', 'since_entry']);
    span := coalesce(
        measure_cell.period_days, case measure_cell.grain when 'day' then 1 when 'week' then 7 else 30 end
    );
    perform cohorts.check_option('period_days', span::text, array['1', '7', '30']);
    if measure_cell.cohort is null or not isfinite(measure_cell.cohort)
        or measure_cell.cohort not between date '0001-01-01' and date '9999-01-01' then
        raise exception 'a cohort is named by a day of it'
            using errcode = 'invalid_parameter_value', hint = 'give a day from 0001-01-01 to 9999-01-01';
    end if;
    if measure_cell.period_index is null or measure_cell.period_index not between 0 and 100000 then
        raise exception 'period_index is not known: %', coalesce(measure_cell.period_index::text, 'null')
            using errcode = 'invalid_parameter_value', hint = 'give a number from 0, the period of entry, to 100000';
    end if;
    if measure_cell.min_events is null or measure_cell.min_events < 1 then
        raise exception 'min_events is not known: %', coalesce(measure_cell.min_events::text, 'null')
            using errcode = 'invalid_parameter_value', hint = 'give a number from 1';
    end if;
    perform cohorts.check_instant(measure_cell.as_of);

    select c.tz, c.week_anchor into strict tz, anchor from cohorts.calendar as c;
    if until is null then
        select d.as_of into until from cohorts.definitions as d
        where d.entry = measure_cell.entry and d.grain = measure_cell.grain and d.segment_by = '';
    end if;
    number := cohorts.period_number(measure_cell.cohort, measure_cell.grain, anchor);
    cohort_start := cohorts.period_start(number, measure_cell.grain, anchor);
    next_start := cohorts.period_start(number + 1, measure_cell.grain, anchor);
    if is_calendar then
        first_day := cohorts.period_start(number + measure_cell.period_index, measure_cell.grain, anchor);
        end_day := cohorts.period_start(number + measure_cell.period_index + 1, measure_cell.grain, anchor);
    else
        first_day := cohort_start + measure_cell.period_index * span;
        end_day := next_start - 1 + (measure_cell.period_index + 1) * span;
    end if;

    select count(*) into cohort_size
    from cohorts.user_cohorts as u
    where
        u.entry = measure_cell.entry and u.entered_on >= cohort_start and u.entered_on < next_start
        and (until is null or coalesce(u.entered_at, u.entered_on::timestamp at time zone tz) < until);
    if cohort_start::timestamp at time zone tz >= until
        or not exists (select from cohorts.user_cohorts as u where u.entry = measure_cell.entry) then
        cohort_size := null;
    end if;
    if until is null then
        return next;
        return;
    end if;
    state := case
        when end_day::timestamp at time zone tz <= until then 'closed'
        when first_day::timestamp at time zone tz < until then 'open'
        else 'not_begun'
    end;
    if state = 'closed' and cohort_size is not null then
        select count(distinct reached.user_number) into users
        from (
            select found.user_number
            from (
                select
                    u.user_number,
                    u.entered_on,
                    (s.occurred_at at time zone tz)::date as day
                from activity.source_events as s
                left join activity.merged_ids as m on m.merged_key = sha256(convert_to(s.user_id, 'UTF8'))
                inner join activity.user_numbers as n
                    on n.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
                inner join cohorts.user_cohorts as u on u.user_number = n.user_number
                where
                    u.entry = measure_cell.entry and u.entered_on >= cohort_start and u.entered_on < next_start
                    and coalesce(u.entered_at, u.entered_on::timestamp at time zone tz) < until
                    and s.occurred_at >= first_day::timestamp at time zone tz - interval '1 day'
                    and s.occurred_at < until
                    and (is_endless or s.occurred_at < end_day::timestamp at time zone tz + interval '1 day')
                    and (measure_cell.events is null or s.event = any (measure_cell.events))
            ) as found
            cross join lateral (
                select case
                    when is_calendar
                        then cohorts.period_number(found.day, measure_cell.grain, anchor) - number
                    else floor((found.day - found.entered_on) / span::numeric)::integer
                end as period
            ) as placed
            where
                placed.period = measure_cell.period_index
                or (is_endless and placed.period > measure_cell.period_index)
            group by found.user_number, placed.period
            having count(*) >= needed
        ) as reached;
        rate := cohorts.rate_of(users, cohort_size);
    end if;
    return next;
end
$$;
comment on function cohorts.measure_cell(date, integer, text, text, timestamptz, text, text, integer, integer, text []) is 'One cell of retention from the facts as they are now. cohort: any day of it; as_of: by default that of what is published; users and rate are null unless the cell is closed.';

create function cohorts.calculate_retention_rate(
    cohort date,
    period_index integer,
    grain text default 'month',
    entry text default 'signup',
    as_of timestamptz default null,
    retention text default 'on',
    periods text default 'calendar',
    period_days integer default null,
    min_events integer default 1,
    events text [] default null
) returns numeric
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select c.rate
    from cohorts.measure_cell(cohort, period_index, grain, entry, as_of, retention, periods, period_days, min_events, events) as c
$$;
comment on function cohorts.calculate_retention_rate(date, integer, text, text, timestamptz, text, text, integer, integer, text []) is 'Share of the cohort that was active in period n, 6 decimals; null while the cell is not closed, and without members.';

create function cohorts.get_cohort_size(
    cohort date, grain text default 'month', entry text default 'signup', as_of timestamptz default null
) returns bigint
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    size bigint;
    tz text;
    until timestamptz;
    first_day date;
    next_start date;
begin
    perform cohorts.check_option('grain', get_cohort_size.grain, array['day', 'week', 'month']);
    perform cohorts.check_option(
        'entry', get_cohort_size.entry, array['signup', 'first_activity', 'first_event', 'first_payment', 'first_mrr']
    );
    if get_cohort_size.cohort is null or not isfinite(get_cohort_size.cohort)
        or get_cohort_size.cohort not between date '0001-01-01' and date '9999-01-01' then
        raise exception 'a cohort is named by a day of it'
            using errcode = 'invalid_parameter_value', hint = 'give a day from 0001-01-01 to 9999-01-01';
    end if;
    perform cohorts.check_instant(get_cohort_size.as_of);
    select
        c.tz,
        cohorts.period_start(p.number, get_cohort_size.grain, c.week_anchor),
        cohorts.period_start(p.number + 1, get_cohort_size.grain, c.week_anchor),
        coalesce(
            get_cohort_size.as_of,
            (
                select d.as_of from cohorts.definitions as d
                where d.entry = get_cohort_size.entry and d.grain = get_cohort_size.grain and d.segment_by = ''
            )
        )
    into strict tz, first_day, next_start, until
    from cohorts.calendar as c
    cross join lateral (
        select cohorts.period_number(get_cohort_size.cohort, get_cohort_size.grain, c.week_anchor) as number
    ) as p;
    if first_day::timestamp at time zone tz >= until
        or not exists (select from cohorts.user_cohorts as u where u.entry = get_cohort_size.entry) then
        return null;
    end if;
    select count(u.user_number) into size
    from cohorts.user_cohorts as u
    where
        u.entry = get_cohort_size.entry and u.entered_on >= first_day and u.entered_on < next_start
        and (until is null or coalesce(u.entered_at, u.entered_on::timestamp at time zone tz) < until);
    return size;
end
$$;
comment on function cohorts.get_cohort_size(date, text, text, timestamptz) is 'Users of the cohort that holds a day, who entered before as_of; by default that of what is published, else all. Null for a cohort not begun, and for an entry whose members nobody told.';

-- Grain: one user whose cohort of the sign-up is not what activity.user_numbers says: missed by a
-- trigger, of a time before it, cut by another calendar, or one who does not count any more.
create view cohorts.misplaced_users with (security_invoker = true) as
select
    coalesce(n.user_number, u.user_number) as user_number,
    n.user_id,
    n.signed_up_at as entered_at,
    n.entered_on,
    cohorts.period_start(cohorts.period_number(n.entered_on, 'week', n.week_anchor), 'week', n.week_anchor) as week_start,
    date_trunc('month', n.entered_on::timestamp)::date as month_start,
    n.user_number is not null as counts
from (
    select
        k.user_number,
        k.user_id,
        k.signed_up_at,
        (k.signed_up_at at time zone c.tz)::date as entered_on,
        c.week_anchor
    from activity.user_numbers as k
    cross join cohorts.calendar as c
    where
        activity.can_be_sign_up(k.signed_up_at)
        and not exists (select from activity.excluded_users as e where e.user_key = k.user_key)
        and not exists (select from activity.merged_ids as m where m.merged_key = k.user_key)
) as n
full join (
    select user_number, user_id, entered_at, entered_on, week_start
    from cohorts.user_cohorts where entry = 'signup'
) as u on n.user_number = u.user_number
where
    n.user_number is null
    or u.user_number is null
    or (n.user_id, n.signed_up_at, n.entered_on) is distinct from (u.user_id, u.entered_at, u.entered_on)
    or mod(u.week_start - n.week_anchor, 7) <> 0;
comment on view cohorts.misplaced_users is 'Grain: one user whose cohort of the sign-up is missing or wrong, with the right one; counts is false for those who are in one and should not be.';

-- Existing users, and whatever a trigger missed.
create function cohorts.assign_all_users() returns table (assigned bigint, moved bigint, removed bigint)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
begin
    with misplaced as materialized (
        select w.user_number, w.user_id, w.entered_at, w.entered_on, w.week_start, w.month_start, w.counts
        from cohorts.misplaced_users as w
    ),
    gone as (
        delete from cohorts.user_cohorts as u
        using misplaced as w
        where u.entry = 'signup' and u.user_number = w.user_number and not w.counts
        returning 1
    ),
    written as (
        insert into cohorts.user_cohorts as stored
        (entry, user_number, user_id, entered_at, entered_on, week_start, month_start)
        select 'signup', w.user_number, w.user_id, w.entered_at, w.entered_on, w.week_start, w.month_start
        from misplaced as w
        where w.counts
        order by w.user_number
        on conflict (entry, user_number) do update set
        user_id = excluded.user_id,
        entered_at = excluded.entered_at,
        entered_on = excluded.entered_on,
        week_start = excluded.week_start,
        month_start = excluded.month_start
        returning stored.xmax = 0 as is_new
    )
    select
        (select count(*) from written where is_new),
        (select count(*) from written where not is_new),
        (select count(*) from gone)
    into assigned, moved, removed;
    return next;
end
$$;
comment on function cohorts.assign_all_users() is 'Puts every user who counts into the cohort of the sign-up; again changes nothing. Returns how many were new, moved, taken out.';

-- One user by hand, for an application that calls instead of waiting for the trigger or the refresh.
create function cohorts.assign_user_to_cohort(
    user_id text, entered_at timestamptz default null, entry text default 'signup'
) returns cohorts.user_cohorts
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
#variable_conflict use_column
declare
    key bytea := sha256(convert_to(assign_user_to_cohort.user_id, 'UTF8'));
    at timestamptz := assign_user_to_cohort.entered_at;
    known activity.user_numbers;
    made cohorts.user_cohorts;
begin
    perform cohorts.check_option(
        'entry', assign_user_to_cohort.entry, array['signup', 'first_activity', 'first_event', 'first_payment', 'first_mrr']
    );
    if coalesce(assign_user_to_cohort.user_id, '') = '' then
        raise exception 'a user has an id'
            using errcode = 'invalid_parameter_value', hint = 'give user_id as text, not empty';
    end if;
    if exists (select from activity.excluded_users as e where e.user_key = key)
        or exists (select from activity.merged_ids as m where m.merged_key = key) then
        return null;
    end if;
    if at is null and assign_user_to_cohort.entry = 'signup' then
        select coalesce(
            (select n.signed_up_at from activity.user_numbers as n where n.user_key = key),
            (select min(s.signed_up_at) from activity.source_users as s where s.user_id = assign_user_to_cohort.user_id)
        ) into at;
    end if;
    if at is null or not activity.can_be_sign_up(at) then
        raise exception 'it is not known when the user entered'
            using errcode = 'invalid_parameter_value', hint = 'give entered_at, an instant from 1900 to 2199';
    end if;

    insert into activity.user_numbers as stored (user_key, user_id, signed_up_at)
    values (
        key, assign_user_to_cohort.user_id, case when assign_user_to_cohort.entry = 'signup' then at end
    )
    on conflict (user_key) do update set signed_up_at = excluded.signed_up_at
    where excluded.signed_up_at is not null and activity.can_be_sign_up(stored.signed_up_at) is not true;
    select n.* into strict known from activity.user_numbers as n where n.user_key = key;
    if assign_user_to_cohort.entry = 'signup' then
        at := known.signed_up_at;
    end if;

    insert into cohorts.user_cohorts as stored
    (entry, user_number, user_id, entered_at, entered_on, week_start, month_start)
    select
        assign_user_to_cohort.entry,
        known.user_number,
        known.user_id,
        at,
        d.entered_on,
        cohorts.period_start(cohorts.period_number(d.entered_on, 'week', c.week_anchor), 'week', c.week_anchor),
        date_trunc('month', d.entered_on::timestamp)::date
    from cohorts.calendar as c
    cross join lateral (select (at at time zone c.tz)::date as entered_on) as d
    on conflict (entry, user_number) do update set
    entered_at = excluded.entered_at,
    entered_on = excluded.entered_on,
    week_start = excluded.week_start,
    month_start = excluded.month_start
    where case stored.entry
        when 'signup' then excluded.entered_at is distinct from stored.entered_at
        else excluded.entered_at < stored.entered_at or excluded.entered_on < stored.entered_on
    end;
    select u.* into strict made from cohorts.user_cohorts as u
    where u.entry = assign_user_to_cohort.entry and u.user_number = known.user_number;
    return made;
end
$$;
comment on function cohorts.assign_user_to_cohort(text, timestamptz, text) is 'Puts one user into the cohort of an entry and returns the row; again changes nothing, an earlier entry counts. Null for a user who does not count.';

-- Runs inside a sign-up that numbers a user: whatever happens here, every error ends in this function,
-- and so does waiting for a lock. A refresh finds whom it missed.
create function cohorts.note_users() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '100ms'
set timezone = 'UTC'
as $$
begin
    insert into cohorts.user_cohorts as stored
    (entry, user_number, user_id, entered_at, entered_on, week_start, month_start)
    select
        'signup',
        n.user_number,
        n.user_id,
        n.signed_up_at,
        d.entered_on,
        cohorts.period_start(cohorts.period_number(d.entered_on, 'week', c.week_anchor), 'week', c.week_anchor),
        date_trunc('month', d.entered_on::timestamp)::date
    from numbered as n
    cross join cohorts.calendar as c
    cross join lateral (select (n.signed_up_at at time zone c.tz)::date as entered_on) as d
    where activity.can_be_sign_up(n.signed_up_at)
    order by n.user_number
    on conflict (entry, user_number) do update set
    user_id = excluded.user_id,
    entered_at = excluded.entered_at,
    entered_on = excluded.entered_on,
    week_start = excluded.week_start,
    month_start = excluded.month_start
    where
    (stored.user_id, stored.entered_at, stored.entered_on, stored.week_start)
    is distinct from (excluded.user_id, excluded.entered_at, excluded.entered_on, excluded.week_start);
    return null;
exception when query_canceled or assert_failure or others then
    raise log 'growth: users were not put into cohorts (%); the next refresh does it', sqlstate;
    return null;
end
$$;
comment on function cohorts.note_users() is 'Puts users into cohorts as they are numbered, deleted or restored. Never fails.';
create trigger note_new_users after insert on activity.user_numbers
referencing new table as numbered for each statement execute function cohorts.note_users();
create trigger note_changed_users after update on activity.user_numbers
referencing new table as numbered for each statement execute function cohorts.note_users();

-- Who may read. Policies speak of roles by name, so that they are the same whether the roles are there,
-- come later, or never: growth_ro (people and BI tools), service_role and authenticated (Supabase).
create function cohorts.is_reader() returns boolean
language sql stable parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from pg_roles as r
        where r.rolname in ('growth_ro', 'service_role') and pg_has_role(current_user, r.oid, 'usage')
    )
$$;
comment on function cohorts.is_reader() is 'Whether the role that asks may read everything of cohorts.';

create function cohorts.claimed_user() returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (
        select from pg_roles as r
        where r.rolname = 'authenticated' and pg_has_role(current_user, r.oid, 'usage')
    ) then
        return null;
    end if;
    return nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '');
exception when others then
    return null;
end
$$;
comment on function cohorts.claimed_user() is 'The user whom the verified token of a Supabase request names; null for anyone else.';

alter table cohorts.calendar enable row level security;
alter table cohorts.calendar force row level security;
create policy calendar_owner on cohorts.calendar to current_user using (true) with check (true);
create policy calendar_readers on cohorts.calendar for select using ((select cohorts.is_reader()));
alter table cohorts.user_cohorts enable row level security;
alter table cohorts.user_cohorts force row level security;
create policy user_cohorts_owner on cohorts.user_cohorts to current_user using (true) with check (true);
create policy user_cohorts_readers on cohorts.user_cohorts for select using ((select cohorts.is_reader()));
create policy user_cohorts_of_oneself on cohorts.user_cohorts for select
using (user_id = (select cohorts.claimed_user()));
alter table cohorts.definitions enable row level security;
alter table cohorts.definitions force row level security;
create policy definitions_owner on cohorts.definitions to current_user using (true) with check (true);
create policy definitions_readers on cohorts.definitions for select using ((select cohorts.is_reader()));
alter table cohorts.retention_metrics enable row level security;
alter table cohorts.retention_metrics force row level security;
create policy retention_metrics_owner on cohorts.retention_metrics to current_user using (true) with check (true);
create policy retention_metrics_readers on cohorts.retention_metrics for select using ((select cohorts.is_reader()));

revoke all on function cohorts.measure_cell(date, integer, text, text, timestamptz, text, text, integer, integer, text []) from public;
revoke all on function cohorts.calculate_retention_rate(date, integer, text, text, timestamptz, text, text, integer, integer, text []) from public;
revoke all on function cohorts.get_cohort_size(date, text, text, timestamptz) from public;
revoke all on function cohorts.assign_all_users() from public;
revoke all on function cohorts.assign_user_to_cohort(text, timestamptz, text) from public;
revoke all on function cohorts.note_users() from public;
revoke all on function cohorts.check_option(text, text, text []) from public;
revoke all on function cohorts.check_instant(timestamptz) from public;

-- Grants name roles, and a role must be there to be named: run again after making one.
create function cohorts.grant_readers() returns text []
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    reader text;
    granted text [] := '{}';
begin
    for reader in
        select r.rolname from pg_roles as r
        where r.rolname in ('anon', 'authenticated', 'growth_ro', 'service_role') order by 1
    loop
        execute format('revoke all on all tables in schema cohorts from %I', reader);
        execute format('revoke all on all functions in schema cohorts from %I', reader);
        continue when reader = 'anon';
        execute format('grant usage on schema cohorts to %I', reader);
        execute format('grant select on cohorts.user_cohorts to %I', reader);
        granted := granted || reader;
        continue when reader = 'authenticated';
        execute format(
            'grant select on cohorts.calendar, cohorts.definitions, cohorts.retention_metrics, cohorts.cohort_overview to %I',
            reader
        );
        execute format(
            'grant execute on function cohorts.get_cohort_size, cohorts.calculate_retention_rate, cohorts.measure_cell to %I',
            reader
        );
        continue when reader = 'growth_ro';
        execute format('grant execute on function cohorts.assign_user_to_cohort to %I', reader);
    end loop;
    return granted;
end
$$;
comment on function cohorts.grant_readers() is 'Grants what the policies allow to those of growth_ro, authenticated and service_role that are there; returns them.';
revoke all on function cohorts.grant_readers() from public;
select cohorts.grant_readers();

-- Users who are here already come with `growth cohorts assign` and with every refresh: a million take
-- longer than a statement of a migration may.
