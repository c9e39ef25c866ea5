"""A month over time: what moved, what a close froze, where it begins and ends."""
