"""Learning algorithms: what they collect and how they improve a policy."""
