-- Keeps what differs between the staged spells and the published ones, of all customers or of some, for
-- the rest of the transaction. In Postgres.
create temporary table growth_differences on commit drop as
with before as (
    select stored.*
    from revenue.mrr_spells as stored
    where
        stored.policy = %(policy)s
        and (
            %(is_whole)s
            or (stored.account_id, stored.customer_id) in (
                select account_id, customer_id
                from unnest(%(accounts)s::text [], %(customers)s::text []) as t (account_id, customer_id)
            )
        )
)

select false as is_new, gone.* from (select * from before except all select * from growth_staging) as gone
union all
select true as is_new, come.* from (select * from growth_staging except all select * from before) as come
