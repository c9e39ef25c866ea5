"""Published figures of a month, beside the month before. Never a number of their own."""
