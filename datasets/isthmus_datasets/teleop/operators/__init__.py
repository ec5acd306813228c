"""People as operators, and the guides that turn what they ask for into actions."""
