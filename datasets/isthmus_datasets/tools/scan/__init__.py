"""All of a dataset, read once for the checks and the report."""
