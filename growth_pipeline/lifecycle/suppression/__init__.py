"""Who is not written to: suppressions, consents, and both ways between here and Kit."""
