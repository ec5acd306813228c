"""A chunk policy that learned from people goes on learning in simulation, by reinforcement."""
