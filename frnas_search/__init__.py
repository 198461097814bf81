"""Which trial is next: optimizer, coordinator, cluster, retraining, command line and HTTP.

Part of frnas.
"""
