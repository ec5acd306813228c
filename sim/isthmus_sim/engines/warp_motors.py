# type: ignore
# Warp compiles what stands below: to a type checker it is not Python.
"""The formulas of `actuator_formulas` in Warp, and joints under PD control: one thread for each joint of each world."""

import warp as wp

from isthmus_sim import actuator_formulas


def _in_kernels(formula, **functions):
    """The formula as a function of Warp's, of single float32 numbers."""
    bound = actuator_formulas.bound_to(formula, **functions)
    code = bound.__code__
    bound.__annotations__ = dict.fromkeys(code.co_varnames[: code.co_argcount], float)
    return wp.func(bound)


pd_effort = _in_kernels(actuator_formulas.pd_effort)
motor_torque = _in_kernels(actuator_formulas.motor_torque, clip=wp.clamp)
dry_friction = _in_kernels(actuator_formulas.dry_friction, sqrt=wp.sqrt)


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
    # (n, j), the parameters of `PDMotors`.
    stiffness: wp.array2d[float],
    damping: wp.array2d[float],
    strength: wp.array2d[float],
    # (4, j): effort limit and saturation N·m, no-load speed rad/s, dry friction N·m.
    motors: wp.array2d[float],
    # Out. Means over the control period: torque (n, j) N·m, power (n, j) W.
    ctrl: wp.array2d[float],
    mean_torque: wp.array2d[float],
    mean_power: wp.array2d[float],
):
    """The torque less friction of physics step `step` to `ctrl`, and the torque's share of the means."""
    world, joint = wp.tid()
    position, velocity = qpos[world, columns[0, joint]], qvel[world, columns[1, joint]]
    acting = target[world, joint]
    if float(step) < delay[world]:
        acting = before[world, joint]
    wanted = pd_effort(acting, position, velocity, stiffness[world, joint], damping[world, joint])
    torque = motor_torque(
        wanted, velocity, strength[world, joint], motors[0, joint], motors[1, joint], motors[2, joint]
    )
    if wp.isnan(wanted):  # a limit would make a number of it, and nobody would see that the world has diverged
        torque = wanted
    ctrl[world, columns[2, joint]] = torque - dry_friction(velocity, motors[3, joint])
    share = torque / float(num_steps)
    if step == 0:
        mean_torque[world, joint] = share
        mean_power[world, joint] = share * velocity
    else:
        mean_torque[world, joint] += share
        mean_power[world, joint] += share * velocity
