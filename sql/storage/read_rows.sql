-- One row per record of a file that people made: instants, local days and money instead of text.
-- Why here: a file larger than memory is read once, in columns. Embedded engine only; what follows
-- works on whole numbers. Table `file` holds the fields as text; an empty field is null.
-- `fault` names what cannot be read; such a row is located and refused, never dropped.
-- Contract: docs/metrics.md, "Files".
with fields as (
    select
        row_number,
        nullif(trim(user_id, e' \t\r\n'), '') as user_id,
        nullif(trim(occurred_at, e' \t\r\n'), '') as occurred_at,
        nullif(trim(event, e' \t\r\n'), '') as event,
        nullif(trim(segment, e' \t\r\n'), '') as segment,
        nullif(trim(detail, e' \t\r\n'), '') as detail,
        nullif(trim(revenue, e' \t\r\n'), '') as revenue,
        nullif(trim(currency, e' \t\r\n'), '') as currency
    from file
),

-- The usual spellings go untouched; others are brought to them, because that costs more.
spelled as (
    select
        *,
        case
            when regexp_full_match(occurred_at, '[0-9T:. Z+-]+') then occurred_at
            else replace(replace(replace(upper(occurred_at), ',', '.'), 'GMT', 'Z'), 'UTC', 'Z')
        end as instant_text
    from fields
),

shaped as (
    select
        *,
        case
            when instant_text is null then null
            when regexp_full_match(
                instant_text,
                '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-][01]\d(:?[0-5]\d)?)'
            ) then 'zoned'
            when regexp_full_match(
                instant_text,
                '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)? (Z|[+-][01]\d(:?[0-5]\d)?)'
            ) then 'spaced'
            when regexp_full_match(
                instant_text, '\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?'
            ) then 'naive'
            when regexp_full_match(instant_text, '\d{4}-\d{2}-\d{2}') then 'date'
            when regexp_full_match(instant_text, '(19|20|21)\d{6}') then 'digits'
            when regexp_full_match(instant_text, '\d{10}(\.\d{1,6}0*)?') then 'seconds'
            when regexp_full_match(instant_text, '\d{13}(\.0+)?') then 'milliseconds'
            when regexp_full_match(instant_text, '\d{16}(\.0+)?') then 'microseconds'
        end as shape
    from spelled
),

told as (
    select
        *,
        case shape
            when 'zoned' then epoch_us(try_cast(instant_text as timestamptz))
            when 'spaced' then
                epoch_us(
                    try_cast(
                        left(instant_text, 10) || 'T' || replace(substr(instant_text, 12), ' ', '')
                        as timestamptz
                    )
                )
            when 'naive' then epoch_us(try_cast(instant_text as timestamp))
            when 'seconds' then
                cast(cast(instant_text as decimal(38, 6)) * 1000000 as bigint)
            when 'milliseconds' then cast(split_part(instant_text, '.', 1) as bigint) * 1000
            when 'microseconds' then cast(split_part(instant_text, '.', 1) as bigint)
        end as instant,
        case shape
            when 'date' then epoch_us(try_cast(instant_text as timestamp)) // 86400000000
            when 'digits' then
                epoch_us(
                    try_cast(
                        left(instant_text, 4)
                        || '-'
                        || substr(instant_text, 5, 2)
                        || '-'
                        || substr(instant_text, 7, 2) as timestamp
                    )
                ) // 86400000000
        end as told_day,
        case
            when
                revenue is not null
                then
                    regexp_extract(
                        revenue, '^([+-]?)([0-9]*)(?:\.([0-9]*))?$', ['sign', 'whole', 'decimals']
                    )
        end as parts
    from shaped
),

-- Whole seconds, downwards also before 1970.
seconds as (
    select
        *,
        (instant - ((instant % 1000000) + 1000000) % 1000000) // 1000000 as second,
        ltrim(parts.whole, '0') as whole,
        rtrim(parts.decimals, '0') as decimals,
        parts.whole <> '' or parts.decimals <> '' as is_number,
        coalesce(lower(currency), default_currency) as code
    from told
    cross join options
),

placed as (
    select
        s.*,
        c.exponent,
        coalesce(
            s.told_day,
            (s.second + z.offset_seconds - (((s.second + z.offset_seconds) % 86400) + 86400) % 86400)
            // 86400
        ) as local_day,
        coalesce(d.start_second * 1000000, case when z.utc_day is not null then s.instant end)
            as at_microsecond,
        try_cast(
            coalesce(nullif(s.whole || rpad(left(s.decimals, c.exponent), c.exponent, '0'), ''), '0')
            as bigint
        ) as magnitude,
        substr(s.decimals, c.exponent + 1) as rest
    from seconds as s
    left join zone_days as z
        on
            (s.second - ((s.second % 86400) + 86400) % 86400) // 86400 = z.utc_day
            and s.second >= z.from_second
            and s.second < z.to_second
    left join day_starts as d on s.told_day = d.day
    left join currencies as c on s.code = c.code
),

-- Half-even on the digits: exactly 5 goes to the even neighbour, more than 5 up.
rounded as (
    select
        *,
        case
            when rest > '5' then magnitude + 1
            when rest = '5' then magnitude + magnitude % 2
            else magnitude
        end as rounded_magnitude
    from placed
),

valued as (
    select
        *,
        case when parts.sign = '-' then -rounded_magnitude else rounded_magnitude end as minor,
        case
            when code is null and is_number
                then
                    try_cast(
                        (case when parts.sign = '-' then '-0' else '0' end)
                        || whole
                        || '.'
                        || decimals
                        || '0' as decimal(38, 18)
                    )
        end as amount
    from rounded
),

judged as (
    select
        *,
        case
            when user_id is null and occurred_at is null and event is null and revenue is null
                then 'empty'
            when user_id is null then 'no_user'
            when occurred_at is null and needs_time then 'no_time'
            when occurred_at is not null and at_microsecond is null then 'time'
            when revenue is null then null
            when not is_number then 'amount'
            when code is not null and exponent is null then 'currency'
            when exponent is not null and rest <> '' and not round_half_even then 'decimals'
            when code is null and length(decimals) > 18 then 'decimals'
            when case when code is null then amount is null else minor is null end then 'large'
        end as fault
    from valued
)

select
    user_id,
    at_microsecond,
    cast(local_day as integer) as day,
    event,
    segment,
    detail,
    case when revenue is not null and code is not null then minor end as minor,
    amount,
    case when revenue is not null then code end as currency,
    shape = 'naive' as is_naive,
    shape in ('date', 'digits') as is_date,
    fault,
    case when fault <> 'empty' then coalesce(user_id, '') end as fault_user,
    case when fault <> 'empty' then coalesce(occurred_at, '') end as fault_time,
    case when fault <> 'empty' then coalesce(revenue, '') end as fault_revenue,
    case when fault <> 'empty' then coalesce(currency, '') end as fault_currency,
    case
        when fault <> 'empty' or (revenue is not null and code is null) then row_number
    end as fault_row
from judged
