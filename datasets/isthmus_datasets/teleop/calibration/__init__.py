"""Where a camera is and how it sees, what a leader arm's servos mean; and a simulated camera that is the same."""
