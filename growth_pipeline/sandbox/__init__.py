"""A simulated company with a Stripe-compatible server; a process of its own.

It shares no code with the product, so that the product can be judged by it. It knows the truth
and says it: the ledger that books should show, and each discrepancy that was planted.
"""
