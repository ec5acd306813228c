"""What stands around robots."""
