# type: ignore
# Warp compiles the kernel from the lines below: to a type checker they are not Python.
"""The joint drives of `motors` as a Warp kernel: one thread for each joint of each world."""

import warp as wp

from isthmus_sim.engines import motors

SLOW = wp.constant(motors.SLOW)


@wp.kernel(enable_backward=False)
def drive_joints(
    # Which physics step of the control period, and the steps (n,) in which the target before still acts.
    step: int,
    num_steps: int,
    delay: wp.array[float],
    # (n, j) rad.
    before: wp.array2d[float],
    target: wp.array2d[float],
    # (3, j): columns of a joint in qpos, qvel and ctrl.
    columns: wp.array2d[int],
    qpos: wp.array2d[float],
    qvel: wp.array2d[float],
    # (n, j), as in `pd_torque`.
    stiffness: wp.array2d[float],
    damping: wp.array2d[float],
    strength: wp.array2d[float],
    # (4, j): effort limit and saturation N·m, no-load speed rad/s, dry friction N·m.
    limits: wp.array2d[float],
    # Out. Means over the control period: torque (n, j) N·m, power (n, j) W.
    ctrl: wp.array2d[float],
    mean_torque: wp.array2d[float],
    mean_power: wp.array2d[float],
):
    """`pd_torque` less `dry_friction` of physics step `step` to `ctrl`, and its share of the means."""
    world, joint = wp.tid()
    velocity = qvel[world, columns[1, joint]]
    acting = target[world, joint]
    if float(step) < delay[world]:
        acting = before[world, joint]
    wanted = stiffness[world, joint] * (acting - qpos[world, columns[0, joint]]) - damping[world, joint] * velocity

    effort, saturation = limits[0, joint], limits[1, joint]
    drop = saturation / limits[2, joint] * velocity
    high = wp.clamp(saturation - drop, 0.0, effort)
    low = wp.clamp(-saturation - drop, -effort, 0.0)
    torque = strength[world, joint] * wp.clamp(wanted, low, high)
    if wp.isnan(wanted):  # a limit would make a number of it, and nobody would see that the world has diverged
        torque = wanted

    friction = limits[3, joint] * velocity / wp.sqrt(velocity * velocity + SLOW * SLOW)
    ctrl[world, columns[2, joint]] = torque - friction
    share = torque / float(num_steps)
    if step == 0:
        mean_torque[world, joint] = share
        mean_power[world, joint] = share * velocity
    else:
        mean_torque[world, joint] += share
        mean_power[world, joint] += share * velocity
