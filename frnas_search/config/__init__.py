"""What people type into a run file, checked whole."""
