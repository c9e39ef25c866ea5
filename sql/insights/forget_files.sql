-- Grain: one report whose files are gone.
update insights.reports set artifacts = '{}' where report_id = any(%(report_ids)s)
