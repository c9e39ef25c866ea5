"""Payments, refunds and disputes: Stripe's charges against the books."""
