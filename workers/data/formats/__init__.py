"""File formats of others, read as values; nothing of them is ever run."""
