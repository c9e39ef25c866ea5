"""Conversion funnels over events: who gets how far through stages, and how fast."""
