"""From a source of faces to a pack."""
