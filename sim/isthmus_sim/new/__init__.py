"""`isthmus-new`: a small package of one's own to begin with."""
