"""What messages say, as signals: the newest of each, and when it was taken."""
