"""Learning: networks, actor-critic, export and evaluation."""

# First of all, because MuJoCo reads how it is to draw, and torch how its threads wait, when they are first imported,
# which isthmus_datasets may do too.
import isthmus_sim  # noqa: F401
