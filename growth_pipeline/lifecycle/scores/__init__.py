"""Scores and stages of whole days, and how well a score told what came."""
