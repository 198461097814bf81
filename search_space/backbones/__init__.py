"""Networks of timm, by name and by pattern."""
