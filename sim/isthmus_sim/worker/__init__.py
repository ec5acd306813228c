"""What runs in the process of another simulator: NumPy and the standard library alone, on Python 3.8 or later.

A simulator that needs an interpreter, packages or a licence of its own lives in a process of its own. `__main__` starts
there, `channel` is what the two processes share, `loop` the control period, and `sapien_physics` and its like one
simulator each. The engine on the other side is in `isthmus_sim.engines.worker`.
"""
