"""Datasets as batches of windows for training."""
