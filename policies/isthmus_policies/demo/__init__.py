"""The whole way in one command, and its report."""
