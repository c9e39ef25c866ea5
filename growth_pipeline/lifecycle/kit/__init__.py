"""Kit (ConvertKit), API v4: who subscribes, and one way to add a tag or a sequence."""
