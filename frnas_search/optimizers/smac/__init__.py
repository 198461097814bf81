"""The default optimizer, on the extension points of SMAC."""
