"""`isthmus-deploy doctor`: what is missing, wrong or slow on the live graph."""
