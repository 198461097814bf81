"""The file that training reads: pictures and people, memory-mapped."""
