-- Audit: booked fees or nets that are not the balance transaction's. Grain: one match id.
-- A fee the books do not know is unknown, not wrong. Runs in the engine; compare.py decides.
select distinct b.match_id
from books as b
join balance_transactions as t on b.match_id = t.source and t.type in ('charge', 'payment')
where
    b.fee_minor <> t.fee
    or b.net_minor <> t.net
    or b.settlement_currency <> t.currency
