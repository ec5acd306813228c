"""What tasks are listed from: rewards, randomisation, events, terminations and curricula, a small function each."""
