"""The weekly growth report: what it holds, its page, its pictures and its files."""
