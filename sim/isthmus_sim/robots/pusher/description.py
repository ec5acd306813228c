"""The pusher of Push-T: a disc that goes where it is told, a T-shaped block, a table; sizes, units, specification.

Source: the environment "pusht" of Chi et al., "Diffusion Policy" (2023), in its public repository and as gym-pusht
0.1.8 on PyPI; both run on Chipmunk (pymunk).

Units. Data sets, policies and images of Push-T speak of pixels on a table of 512 x 512: x to the right, y down,
angles clockwise as one sees it. So does this robot at its interface: its signals and its command. The world in the
engine has metres: x to the right, y up in the image, z towards the viewer, the origin in the middle of the table, a
pixel to the millimetre. `to_metres` and `to_pixels` are where one becomes the other, and an angle changes its sign
with them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from isthmus_sim.actuators import PositionServos
from isthmus_sim.description import Looks, RobotDescription, with_camera
from isthmus_sim.on_device import Constant
from isthmus_sim.specs import CommandSpec, SignalSpec

PIXEL = 0.001  # m
TABLE = 512.0  # px, its side
MIDDLE = TABLE / 2
WALLS = (7.0, 504.0)  # px: between these is the block kept; the disc is not

AGENT_RADIUS = 15.0  # px
AGENT_STIFFNESS, AGENT_DAMPING = 100.0, 20.0  # 1/s², 1/s: its acceleration is stiffness·(target - place) - damping·v

# The block, px, in its own frame: the origin in the middle of the bar's outer edge, the stem along y.
BAR = ((-60.0, 0.0), (60.0, 30.0))  # least and greatest corner
STEM = ((-15.0, 30.0), (15.0, 120.0))
OUTLINE = ((-60.0, 0.0), (60.0, 0.0), (60.0, 30.0), (15.0, 30.0), (15.0, 120.0), (-15.0, 120.0), (-15.0, 30.0),
           (-60.0, 30.0))  # fmt: skip
BLOCK_AREA = 120.0 * 30.0 + 30.0 * 90.0  # px²
# As published, not as a T of one material has them (40.7 and 1814): the mean of the two rectangles' centres, and twice
# the bar's moment about the origin, m(a² + b²)/12 + m·15², for a mass of 1.
BLOCK_CENTRE = 45.0  # px along the stem, of the centre of mass
BLOCK_INERTIA = 3000.0  # px², about it, per mass

GOAL = (256.0, 256.0, 0.7853981633974483)  # px, px, rad (π/4): where the block's origin is wanted, and how turned

_Y_UP = Constant(torch.tensor([1.0, -1.0]))


def to_metres(place: Tensor) -> Tensor:
    """Places on the table (..., 2) px -> in the world (..., 2) m."""
    return (place - MIDDLE) * (PIXEL * _Y_UP.to(place))


def to_pixels(place: Tensor) -> Tensor:
    """Places in the world (..., 2) m -> on the table (..., 2) px."""
    return place * (_Y_UP.to(place) / PIXEL) + MIDDLE


_STATE_AGE = 0.3  # s


def _place(name: str, order: tuple[str, str], margin: float) -> SignalSpec:
    """A place that can be `margin` px off the table, and half the table away after a control period."""
    return SignalSpec(
        name=name, unit="px", frame="table", order=order, minimum=(-margin,) * 2, maximum=(TABLE + margin,) * 2,
        max_jump=(MIDDLE,) * 2, max_age_s=_STATE_AGE,
    )  # fmt: skip


AGENT_JOINTS = ("agent_x", "agent_y")


def _model(looks: bool) -> str:
    from isthmus_sim.robots.pusher.mjcf import pusher_mjcf  # it is made from what stands here

    return pusher_mjcf(scene=looks)


ROBOT = RobotDescription(
    name="pusher",
    control_period_s=0.1,
    signals=(
        _place("agent_position", ("x", "y"), 64.0),  # what the command sets: of the same order
        _place("block_position", ("block_x", "block_y"), 128.0),
        SignalSpec(
            name="block_angle", unit="rad", frame="table", order=("clockwise",), minimum=(0.0,), maximum=(6.2832,),
            max_jump=(6.2832,), max_age_s=_STATE_AGE,
        ),
    ),
    commands=(
        # A hand may ask for the other end of the table at once. Stopped, the disc goes slowly to where the published
        # environment has it before an episode.
        CommandSpec(
            name="target_position", unit="px", frame="table", order=("x", "y"), minimum=(0.0,) * 2,
            maximum=(TABLE,) * 2, max_rate=(10 * TABLE,) * 2, safe=(256.0, 400.0), standby=(256.0, 400.0),
            transition_rate=(100.0,) * 2,
        ),
    ),
    actuators=(
        # `to_metres`, element by element.
        PositionServos(
            command="target_position", actuators=AGENT_JOINTS, scale=(PIXEL, -PIXEL),
            offset=(-MIDDLE * PIXEL, MIDDLE * PIXEL),
        ),
    ),
    model=_model,
    looks=Looks(distance=0.75, azimuth=90.0, elevation=-60.0, turn=0.0),
)  # fmt: skip
# With the picture of the table that the published demonstrations have.
CAMERA_ROBOT = with_camera(ROBOT, "pusher_camera", "scene", (96, 96))
