"""What a statement may say: words with a meaning, checked against the digest."""
