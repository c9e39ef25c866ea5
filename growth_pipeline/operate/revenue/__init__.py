"""Revenue for a terminal: opens database and lake, asks the slice, hands on what it answers."""
