"""How many users are active: by day, week and month, who is new, who came back. Never retention."""
