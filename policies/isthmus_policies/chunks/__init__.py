"""Policies that give chunks: the next actions all at once. They learn from demonstrations."""
