"""Faces: from pictures and labels to batches."""
