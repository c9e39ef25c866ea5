"""Billing events held against the mirror of Stripe: what an application says, what Stripe says.

Reads only; nothing here changes an event or the mirror.
"""
