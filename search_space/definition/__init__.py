"""Which configurations there are, and what each of them means."""
