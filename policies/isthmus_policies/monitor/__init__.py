"""Whether a policy is out of its depth: scores, and thresholds from what succeeds."""
