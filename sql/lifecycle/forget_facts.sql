-- Everything that is read from the sources is read anew. The notes are not truncated: that would hold
-- up whoever signs up meanwhile.
truncate lifecycle.user_days, lifecycle.last_uses, lifecycle.billing_spans
