"""Facts of users and days from files of users, activity and subscription periods.

`facts` makes what the retention and activity queries take, `people` says who is who, `mrr` knows
subscription periods; the values are read by `storage.files`. Contract: docs/metrics.md, "Files".
"""
