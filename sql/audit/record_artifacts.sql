-- Grain: one audit; adds where its reports lie.
update audit.audits
set artifacts = artifacts || %(artifacts)s
where audit_id = %(audit_id)s
