"""Whether a policy of chunks is out of its depth: its scores, and thresholds from what succeeds."""
