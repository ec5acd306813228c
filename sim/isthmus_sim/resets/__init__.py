"""Where episodes begin while something is learned, and how hard they are: strategies that an `Env` is given."""
