"""Journeys as code: who enters, what they get and when, what ends it, and what it is worth."""
