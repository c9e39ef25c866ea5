-- Grain: one audit; forgets where its report lay, of audits whose files were cleaned.
update audit.audits
set artifacts = '{}'
where audit_id = any(%(audit_ids)s::uuid[])
