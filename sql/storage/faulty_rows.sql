-- One row per distinct record that cannot be read, to be found again in the file; the row number is
-- the first one, known for Parquet only. A file with more kinds of damage is not told in full.
select
    fault,
    fault_user,
    fault_time,
    fault_revenue,
    fault_currency,
    min(fault_row) as first_row
from records
where fault <> 'empty'
group by all
order by first_row, fault_user, fault_time
limit 20000
