"""Stripe as it is: lists, single objects, limits, versions, signatures. No table of ours."""
