"""The disc of Push-T and its table."""
