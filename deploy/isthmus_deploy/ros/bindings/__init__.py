"""Which ROS topics carry which signals and commands.

`binding` has the parts, `table` what is registered. What the project ships is in `body`, `joints`, `walking` and
`camera`; other packages register theirs beside it, as entry points of the group `isthmus.ros_bindings`.
"""
