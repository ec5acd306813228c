"""Training of a scorer from demonstrations that are told to be successes or failures."""
