"""Claude as a writer: what is sent, what comes back, limits and memory."""
