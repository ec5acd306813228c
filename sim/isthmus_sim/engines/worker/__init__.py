"""Simulators in processes of their own: the engine that speaks to them. What runs there is `isthmus_sim.worker`."""
