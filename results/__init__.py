"""What is known: trial records, the event log, the Pareto front and its documents.

Part of frnas.
"""
