"""What users paid, by local day and currency, out of the books into the lake."""
