"""Alerts: what a run found worth a person's time, said once and to the right place."""
