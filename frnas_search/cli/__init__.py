"""The command line: options become calls, errors become one sentence."""
