"""Chunk policies, one file a method."""
