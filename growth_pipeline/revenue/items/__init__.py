"""What subscription items of a file are worth a month: no database, no settings."""
