"""The flight recorder: every tick of the control loop in an MCAP bag, written by a process of its own, and its replay.

Nothing here needs ROS 2. Data flows one way: `recorder` (in the loop) → `ring` (shared memory) → `writer` (the process)
→ `mcap` (the file) → `recorded` → `replay`.
"""
