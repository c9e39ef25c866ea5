-- Audit: the parts of an audit beside the payments, and the zone its month is of.
alter table audit.audits add column sections jsonb not null default '[]';
comment on column audit.audits.sections is 'One entry per part beside the payments: objects judged, both sides, what was not judged.';
