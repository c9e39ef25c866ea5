"""Stages, scores, journeys and messages from a terminal."""
