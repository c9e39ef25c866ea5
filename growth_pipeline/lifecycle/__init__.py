"""Lifecycle: stages, engagement scores, journeys, and e-mails, each sent at most once."""
