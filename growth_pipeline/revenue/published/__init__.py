"""Published spells of MRR become movements and figures; files of people do in `from_files`."""
