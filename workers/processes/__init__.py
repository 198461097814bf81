"""What runs in processes of its own, and how it is asked."""
