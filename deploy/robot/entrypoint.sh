#!/bin/bash
# ROS 2's set-up files read variables that are not set, so no `set -u`.
set -eo pipefail
source /opt/ros/jazzy/setup.bash
source /isthmus/ws/install/setup.bash
exec ros2 run isthmus_deploy isthmus-deploy "$@"
