"""Somebody who takes over from a policy that learns: when, for how long, and what became of it."""
