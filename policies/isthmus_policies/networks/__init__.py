"""Networks that read observation groups."""
