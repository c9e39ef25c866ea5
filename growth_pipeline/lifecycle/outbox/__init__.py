"""The outbox: each message to each user at most once, whatever dies or is lost on the way."""
