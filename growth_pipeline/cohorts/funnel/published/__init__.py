"""Funnels that are published: by the week and month in which users begin them."""
