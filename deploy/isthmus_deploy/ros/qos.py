"""Quality of service of each kind of topic, and why."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Readings: only the newest counts. A lost one is not worth sending again, since the next is 10 ms away, and a queue
# would only feed the policy old readings after a hiccup.
SENSOR = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

# Commands: reliable, which is what the controllers of ros2_control and most drivers ask for; depth 1, so that an old
# command is replaced and never delivered after a newer one has been decided.
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# An operator's single goal: sent once, so it must arrive; only the last one counts.
GOAL = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# What the robot says of itself: said once, and whoever comes later must still hear it.
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# When each policy node came: as above, but there can be several nodes, and a reader must keep what all of them say.
CLAIM = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)

# Diagnostics: every state change matters, and several can come in a burst; 10 is what diagnostic tools use.
DIAGNOSTICS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
