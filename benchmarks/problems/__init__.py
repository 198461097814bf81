"""Problems a search is measured on that cost next to nothing to query."""
