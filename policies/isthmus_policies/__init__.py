"""Learning: networks, actor-critic, export and evaluation."""
