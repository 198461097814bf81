"""From embeddings to metrics, their intervals and their guards."""
