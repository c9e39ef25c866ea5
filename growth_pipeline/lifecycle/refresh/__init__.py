"""From what became known to stages: news of users, their facts, and every change of their stage."""
