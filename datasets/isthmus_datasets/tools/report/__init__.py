"""One HTML page about a dataset; everything it shows is in it."""
