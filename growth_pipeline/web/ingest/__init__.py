"""Requests with events: bodies within bounds, write keys, few commits, counts, answers."""
