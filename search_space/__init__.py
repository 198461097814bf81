"""What can be built: search spaces, and a configuration turned into a network.

Part of frnas.
"""
