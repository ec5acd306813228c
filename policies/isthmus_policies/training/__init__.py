"""A training run: configuration, loop, checkpoints, logs."""
