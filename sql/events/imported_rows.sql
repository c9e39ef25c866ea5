-- One row per record of a file: who, when in microseconds since 1970, which segment.
select
    user_id,
    at_microsecond,
    event,
    segment
from records
where user_id is not null
