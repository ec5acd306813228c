"""Engines: implementations of `isthmus_sim.engine.Engine`."""
