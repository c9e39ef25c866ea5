"""The revenue audit: Stripe's payments against the booked ones, what differs, and why.

Reads only. It writes audits, findings and reports, never a payment.
"""
