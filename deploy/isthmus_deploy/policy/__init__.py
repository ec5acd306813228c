"""The exported policy: its file, its graphs and their sessions, and how chunks are executed."""
