"""What can be wrong with a dataset, and how to find out."""
