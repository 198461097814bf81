"""Other optimizers on the same spaces, each behind the `Method` protocol."""
