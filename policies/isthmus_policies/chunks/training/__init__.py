"""Training chunk policies from demonstrations."""
