"""The robot side as a ROS 2 package of its own (ament_python), from the same code: colcon builds it in a workspace."""

from setuptools import find_packages, setup

NAME = "isthmus_deploy"

setup(
    name=NAME,
    version="0.1.0",
    # The stand-in robot simulates: it needs the rest of Isthmus, and no robot needs it.
    packages=find_packages(include=[NAME, f"{NAME}.*"], exclude=[f"{NAME}.ros.stand_in_robot*"]),
    package_data={
        f"{NAME}.contracts": ["*.json"],
        f"{NAME}.contracts.profiles": ["*.yaml"],
        f"{NAME}.ros": ["*.xml"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/policy.launch.py"]),
    ],
    install_requires=["setuptools"],
    zip_safe=False,
    description="Runs an exported Isthmus policy on a robot, inside its limits.",
    license="Apache-2.0",
    entry_points={
        "console_scripts": [
            "isthmus-deploy = isthmus_deploy.ros.node.policy_node:main",
            "isthmus-announce = isthmus_deploy.ros.announce:main",
        ],
        "isthmus.ros_bindings": [
            "body = isthmus_deploy.ros.bindings.body:BINDINGS",
            "joints = isthmus_deploy.ros.bindings.joints:BINDINGS",
            "walking = isthmus_deploy.ros.bindings.walking:BINDINGS",
            "tabletop = isthmus_deploy.ros.bindings.tabletop:BINDINGS",
            "touch = isthmus_deploy.ros.bindings.touch:BINDINGS",
        ],
    },
)
