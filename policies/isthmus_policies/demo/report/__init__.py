"""The report of a demonstration: one self-contained page that says what was trained, exported and done.

What a report shows of one kind of mission is one file in `missions`, such as `flight`; tasks' entries name them.
"""
