-- Audit: refunds that still wait for money or bank data after $stuck_before. Grain: one refund.
-- Runs in the engine. Contract: docs/metrics.md, "Revenue audit", refund_stuck.
select id, charge, currency, amount, status, created
from refunds
where status in ('pending', 'requires_action') and created < $stuck_before
