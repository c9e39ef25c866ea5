-- One row: the first payment that names no currency; known for Parquet only.
select min(fault_row) as first_row
from records
where amount is not null and fault is null
