"""What a search will cost, before it is started."""
