"""growth_pipeline: the growth and revenue pipeline for SaaS companies on Stripe and Postgres."""

__version__ = "0.1.0"
