"""Soft actor-critic: what it remembers, how it learns from that, and the algorithm."""
