"""Words that every slice shares: money, periods, ids, errors. Pure; no I/O, no clock."""
