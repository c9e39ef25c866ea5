"""What Stripe told us, what it means now, and our books: inbox, mirror, payments. Never MRR."""
