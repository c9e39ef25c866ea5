"""Active users of the lake: what a day touches is counted again, everything else is kept."""
