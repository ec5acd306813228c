"""SO-101 on a flat base at the origin, as MJCF: primitives only.

Jaws hold things by friction: cones are elliptic, and their contacts resist turning about their normal.
"""

from __future__ import annotations

from isthmus_sim.robots.so101.description import PERIOD
from isthmus_sim.robots.so101.links import arm, defaults, servos

TIMESTEP = PERIOD / 10  # s


def so101_mjcf(*, held: str = "", around: str = "", assets: str = "", sensors: str = "") -> str:
    """MJCF of the arm, with camera "wrist". Controls are the joints' targets, rad. `held` is MJCF of what is fixed to
    the gripper, in the frame of the wrist's roll; `around`, `assets` and `sensors` are of what stands around it."""
    return f"""
<mujoco model="so101">
  <compiler angle="radian" autolimits="true" inertiafromgeom="auto"/>
  <option timestep="{TIMESTEP:.17g}" integrator="implicitfast" cone="elliptic" impratio="10" iterations="20"
    ls_iterations="20"/>
  <statistic center="0.18 0 0.08"/>
  <visual>
    <global offwidth="960" offheight="960"/>
    <quality shadowsize="0" offsamples="0"/>
    <map znear="0.01" zfar="20"/>
    <headlight ambient="0.35 0.35 0.35" diffuse="0.25 0.25 0.25" specular="0 0 0"/>
  </visual>
  <default>{defaults()}
  </default>
  <asset>{assets}
  </asset>
  <worldbody>{arm(held)}{around}
  </worldbody>
  <actuator>{servos()}
  </actuator>
  <sensor>{sensors}
  </sensor>
</mujoco>
"""
