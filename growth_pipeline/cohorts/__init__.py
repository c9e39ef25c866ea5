"""Cohorts of users: who entered when, who came back, what they paid.

Events and payments come from the slices below.
"""
