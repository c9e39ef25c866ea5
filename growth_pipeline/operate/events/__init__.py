"""`growth events keys` and `growth events dead-letters`: who may tell events, what was rejected."""
