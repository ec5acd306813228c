"""The table with pusher and block as MJCF: primitives only, in metres; see `pusher` for what a pixel is.

What the published environment's engine, Chipmunk with damping 0, does at each of its 10 ms steps, is written here in
MuJoCo's terms. None of these numbers was fitted.

- The block has no momentum: Chipmunk takes its velocity away before every step. Here the joints' damping is mass per
  time step, and explicit: exactly a step's worth of momentum.
- Contact has no friction and no bounce, and takes the approaching velocity away in one step. Of a penetration a share
  of 1 - 0.9^(60·dt) is made good per step (Chipmunk's default). Here `solref` says both directly: damping 1/dt,
  stiffness share/dt².
- Contacts are solved by ten sweeps of Gauss-Seidel, there and here. Where the disc squeezes the block against a wall
  there is no solution; ten sweeps give way, and an exact solver lets the block slip out sideways at any speed.
- The disc is kinematic: nothing slows it. Here it is 10⁶ times heavier than the block, and only that.

Collision geometry is tall, so that contacts lie in the plane: the disc is a ball at half the height of the boxes.
"""

from __future__ import annotations

from isthmus_sim.robots.pusher.description import (
    AGENT_DAMPING,
    AGENT_JOINTS,
    AGENT_RADIUS,
    AGENT_STIFFNESS,
    BAR,
    BLOCK_CENTRE,
    BLOCK_INERTIA,
    GOAL,
    MIDDLE,
    PIXEL,
    STEM,
    TABLE,
    WALLS,
)

TIMESTEP = 0.01  # s, the published environment's: its results depend on it
BLOCK_JOINTS = ("block_x", "block_y", "block_turn")

_BLOCK_MASS = 1.0  # kg
_AGENT_MASS = 1e6 * _BLOCK_MASS
_CORRECTION = 1 - 0.9 ** (60 * TIMESTEP)
_TALL = 0.2  # m, half the height of the collision boxes
_LOW = 0.008  # m, half the height of what is drawn

_LOOKS = """
  <visual>
    <global offwidth="960" offheight="960"/>
    <quality shadowsize="0" offsamples="0"/>
    <headlight ambient="0.6 0.6 0.6" diffuse="0.4 0.4 0.4" specular="0 0 0"/>
  </visual>"""


def _box(kind: str, corners: tuple[tuple[float, float], tuple[float, float]], z: float, half_height: float) -> str:
    """A rectangle of the block, given in its frame in px, as a box in the frame of its centre of mass, y up."""
    (left, top), (right, bottom) = corners
    x, y = 0.5 * (left + right), BLOCK_CENTRE - 0.5 * (top + bottom)
    size = f"{0.5 * (right - left) * PIXEL:.9g} {0.5 * (bottom - top) * PIXEL:.9g} {half_height:.9g}"
    return f'<geom class="{kind}" type="box" pos="{x * PIXEL:.9g} {y * PIXEL:.9g} {z:.9g}" size="{size}"/>'


def _tee(kind: str, z: float = 0.0, half_height: float = _TALL) -> str:
    return _box(kind, BAR, z, half_height) + "\n      " + _box(kind, STEM, z, half_height)


def _scene() -> str:
    """What is only seen: table, goal, walls."""
    side, wall = TABLE * PIXEL, 0.5 * (WALLS[0] - 2) * PIXEL
    edge = 0.5 * side - wall
    walls = "".join(
        f'\n    <geom class="visual" type="box" pos="{x:.9g} {y:.9g} {_LOW}" size="{a:.9g} {b:.9g} {_LOW}"'
        ' rgba="0.83 0.83 0.83 1"/>'
        for x, y, a, b in (
            (edge, 0, wall, 0.5 * side), (-edge, 0, wall, 0.5 * side), (0, edge, 0.5 * side, wall),
            (0, -edge, 0.5 * side, wall),
        )
    )  # fmt: skip
    return f"""
    <camera name="top" pos="0 0 {1.2 * side:.9g}" fovy="45"/>
    <geom class="visual" type="box" pos="0 0 -0.005" size="{0.5 * side} {0.5 * side} 0.005" rgba="1 1 1 1"/>{walls}
    <body name="goal" pos="{(GOAL[0] - MIDDLE) * PIXEL:.9g} {(MIDDLE - GOAL[1]) * PIXEL:.9g} 0" euler="0 0 {-GOAL[2]}">
      <body pos="0 {-BLOCK_CENTRE * PIXEL:.9g} 0">
      {_tee("goal", 0.0, 0.0005)}
      </body>
    </body>"""


def _agent_motor(joint: str) -> str:
    """The disc's acceleration, times its mass, in terms of where it is told to be."""
    pull, brake = AGENT_STIFFNESS * _AGENT_MASS, AGENT_DAMPING * _AGENT_MASS
    return f'<general name="{joint}" joint="{joint}" gainprm="{pull}" biastype="affine" biasprm="0 {-pull} {-brake}"/>'


def _walls() -> str:
    low, high = ((wall - MIDDLE) * PIXEL for wall in WALLS)
    sides = ((f"{low} 0", "0 1 0 0 0 1"), (f"{high} 0", "0 0 1 0 1 0"), (f"0 {-high}", "0 0 1 1 0 0"),
             (f"0 {-low}", "1 0 0 0 0 1"))  # fmt: skip
    return "".join(
        f'\n    <geom class="collision" type="plane" pos="{place} 0" xyaxes="{axes}" size="1 1 0.1" contype="2"/>'
        for place, axes in sides
    )


def pusher_mjcf(*, scene: bool = False) -> str:
    """MJCF of the table; `scene` adds what is only seen. The controls are the disc's target, m, world.

    The block's joints move its centre of mass; its body's frame is there.
    """
    turning = _BLOCK_MASS * BLOCK_INERTIA * PIXEL**2
    x, y, turn = BLOCK_JOINTS
    looks = (_LOOKS, _scene(), _tee("visual", _LOW, _LOW), f"{AGENT_RADIUS * PIXEL:.9g} {1.5 * _LOW}")
    visual, surroundings, block, agent = looks if scene else ("", "", "", "")
    disc = f'<geom class="visual" type="cylinder" pos="0 0 {1.5 * _LOW}" size="{agent}" rgba="0.25 0.41 0.88 1"/>'
    return f"""
<mujoco model="pusher">
  <compiler angle="radian" inertiafromgeom="false"/>
  <option timestep="{TIMESTEP}" gravity="0 0 0" solver="PGS" iterations="10" tolerance="0">
    <flag eulerdamp="disable"/>
  </option>{visual}
  <default>
    <default class="collision">
      <geom condim="1" contype="0" conaffinity="0" rgba="0 0 0 0" group="3" solimp="0.9999 0.9999 0.001"
        solref="{-_CORRECTION / TIMESTEP**2:.12g} {-1 / TIMESTEP:.12g}"/>
    </default>
    <default class="visual"><geom contype="0" conaffinity="0" rgba="0.47 0.53 0.6 1"/></default>
    <default class="goal"><geom contype="0" conaffinity="0" rgba="0.56 0.93 0.56 1"/></default>
  </default>
  <worldbody>{_walls()}{surroundings}
    <body name="agent">
      <inertial pos="0 0 0" mass="{_AGENT_MASS}" diaginertia="1 1 1"/>
      <joint name="{AGENT_JOINTS[0]}" type="slide" axis="1 0 0"/>
      <joint name="{AGENT_JOINTS[1]}" type="slide" axis="0 1 0"/>
      <geom class="collision" type="sphere" size="{AGENT_RADIUS * PIXEL:.9g}" contype="1"/>
      {disc if scene else ""}
    </body>
    <body name="block">
      <inertial pos="0 0 0" mass="{_BLOCK_MASS}" diaginertia="{turning:.9g} {turning:.9g} {turning:.9g}"/>
      <joint name="{x}" type="slide" axis="1 0 0" damping="{_BLOCK_MASS / TIMESTEP:.12g}"/>
      <joint name="{y}" type="slide" axis="0 1 0" damping="{_BLOCK_MASS / TIMESTEP:.12g}"/>
      <joint name="{turn}" type="hinge" axis="0 0 1" damping="{turning / TIMESTEP:.12g}"/>
      {_tee("collision").replace("/>", ' conaffinity="3"/>')}
      {block}
    </body>
  </worldbody>
  <actuator>
    {_agent_motor(AGENT_JOINTS[0])}
    {_agent_motor(AGENT_JOINTS[1])}
  </actuator>
</mujoco>
"""
