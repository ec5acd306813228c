"""`isthmus-dataset`: what can be done with a dataset that is on disk."""
