"""A stand-in for Isaac Gym with MuJoCo inside: what the worker calls of it, by its published signatures. It keeps to
the rules that trap: joints and bodies in an order of its own, tensors that are stale until they are refreshed, the last
setter before a step wins, velocities of the root's centre of mass, quaternions xyzw."""
