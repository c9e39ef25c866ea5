"""The weekly growth report for a terminal."""
