"""Learning: networks, actor-critic, export and evaluation."""

# First of all, because MuJoCo reads how it is to draw when it is first imported, which isthmus_datasets may do too.
import isthmus_sim  # noqa: F401
