"""From a checked run file to a search that is ready to run."""
