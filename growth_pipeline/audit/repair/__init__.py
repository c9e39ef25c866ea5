"""Mending what an audit found: the plan, its proof, its trail, and the way back."""
