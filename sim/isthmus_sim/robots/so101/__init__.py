"""SO-101, a desktop arm of six servos, at its table."""
