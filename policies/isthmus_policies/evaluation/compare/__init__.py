"""`isthmus-compare`: the same policy on several engines, before it meets a robot."""
