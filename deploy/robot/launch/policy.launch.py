"""`ros2 launch isthmus_deploy policy.launch.py policy:=PATH`; `profile:=…` and `namespace:=…` where they are needed,
and `parameters:=FILE` for everything else that the node can be told."""

# pyright: reportMissingImports=false

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node


def node(context: LaunchContext) -> list[Node]:
    """The policy's node. It takes its time to lay a robot down, so it gets that before it is killed."""
    names = ("policy", "profile", "namespace", "parameters")
    policy, profile, namespace, parameters = (LaunchConfiguration(name).perform(context) for name in names)
    return [
        Node(
            package="isthmus_deploy",
            executable="isthmus-deploy",
            namespace=namespace,
            arguments=[policy, *(["--profile", profile] if profile else [])],
            parameters=[parameters] if parameters else [],
            output="screen",
            sigterm_timeout="30",
            sigkill_timeout="30",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` asks for."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("policy", description="policy file written by isthmus-export"),
            DeclareLaunchArgument(
                "profile", default_value="", description="hardware profile: a file, or a shipped name"
            ),
            DeclareLaunchArgument("namespace", default_value="", description="ROS namespace of the robot"),
            DeclareLaunchArgument("parameters", default_value="", description="file of ROS parameters"),
            OpaqueFunction(function=node),
        ]
    )
