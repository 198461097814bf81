"""What `frnas space` shows of a search space."""
