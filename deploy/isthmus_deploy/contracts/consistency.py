"""Relations between the fields of a contract, which JSON Schema cannot state.

Every check takes the JSON path of what it checks, and raises an `InconsistentContract` that starts with it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from isthmus_deploy.contracts.schema import ContractError

_Item = TypeVar("_Item")


class InconsistentContract(ContractError):  # noqa: N818 (reads as what it is)
    """Each field is valid by itself (the schema accepts the document), but two of them contradict each other."""


def paths(group: str, items: Sequence[_Item]) -> list[tuple[str, _Item]]:
    """Each item with its JSON path, such as `signals[2]`."""
    return [(f"{group}[{index}]", item) for index, item in enumerate(items)]


def check_order(path: str, item: Any) -> None:
    """`order` has a different name for each element of the last axis."""
    if not item.shape:
        raise InconsistentContract(f"{path}.shape", "needs at least one axis; a single number has the shape (1,)")
    if len(item.order) != item.shape[-1]:
        raise InconsistentContract(f"{path}.order", f"{len(item.order)} names for a last axis of {item.shape[-1]}")
    if len(set(item.order)) != len(item.order):
        raise InconsistentContract(f"{path}.order", f"a name stands twice in {text(item.order)}")


def check_image(path: str, signal: Any) -> None:
    """Bytes are images: (height, width, 3)."""
    if signal.dtype == "uint8" and (len(signal.shape) != 3 or signal.shape[-1] != 3):
        raise InconsistentContract(
            f"{path}.shape", f"a uint8 signal is an image, (height, width, 3), not {text(signal.shape)}"
        )


def check_length(path: str, item: Any, field: str) -> None:
    """`field` has a value for each element."""
    values = getattr(item, field)
    if not isinstance(values, tuple | list):
        raise InconsistentContract(f"{path}.{field}", f"{values!r} is no list of a value for each element")
    if len(values) != len(item.order):
        raise InconsistentContract(f"{path}.{field}", f"{len(values)} values for {len(item.order)} elements")


def check_positive(path: str, item: Any, *fields: str) -> None:
    """What is given in `fields` is above zero, and a number: what a description holds that was never JSON."""
    for field in fields:
        given = getattr(item, field)
        for value in given if isinstance(given, tuple) else (given,):
            if value is not None and not value > 0.0:
                raise InconsistentContract(f"{path}.{field}" if path else field, f"{value} is not above 0")


def check_range(path: str, item: Any) -> None:
    """`minimum` is below `maximum` in each element."""
    check_length(path, item, "minimum")
    check_length(path, item, "maximum")
    for name, low, high in zip(item.order, item.minimum, item.maximum, strict=True):
        if not low < high:
            raise InconsistentContract(f"{path}.minimum", f"{low} for {name} is not below its maximum {high}")


def check_inside_range(path: str, item: Any, field: str) -> None:
    """`field` lies within the item's range in each element."""
    check_length(path, item, field)
    limits = zip(item.order, item.minimum, getattr(item, field), item.maximum, strict=True)
    for name, low, value, high in limits:
        if not low <= value <= high:
            raise InconsistentContract(f"{path}.{field}", f"{value} for {name} is outside [{low}, {high}]")


def check_trained_range(path: str, signal: Any) -> None:
    """Only a goal has a trained range; both its ends are given, in order, and plausible."""
    low, high = signal.trained_minimum, signal.trained_maximum
    if low is None and high is None:
        return
    if signal.max_age_s is not None or signal.dtype != "float32":
        raise InconsistentContract(
            f"{path}.trained_minimum", "only a goal (float32, max_age_s null) has a trained range"
        )
    if low is None or high is None:
        missing = "trained_minimum" if low is None else "trained_maximum"
        raise InconsistentContract(f"{path}.{missing}", "null, but the other end of the trained range is given")
    if signal.trained_around is None:
        check_inside_range(path, signal, "trained_minimum")
        check_inside_range(path, signal, "trained_maximum")
    check_length(path, signal, "trained_minimum")
    check_length(path, signal, "trained_maximum")
    for name, least, most in zip(signal.order, low, high, strict=True):
        if least > most:
            raise InconsistentContract(
                f"{path}.trained_minimum", f"{least} for {name} is above its trained_maximum {most}"
            )


def check_trained_around(path: str, signal: Any, signals: Sequence[Any]) -> None:
    """A trained range is about a reading of the goal's own quantity."""
    if signal.trained_around is None:
        return
    if signal.trained_minimum is None:
        raise InconsistentContract(f"{path}.trained_around", "given, but there is no trained range")
    readings = [item.name for item in signals if item.max_age_s is not None and same_quantity(item, signal)]
    if signal.trained_around not in readings:
        problem = f"{signal.trained_around} is no reading of what {signal.name} asks for; these are: "
        raise InconsistentContract(f"{path}.trained_around", problem + (", ".join(readings) or "none"))


def check_expiry(path: str, signal: Any) -> None:
    """Only a goal expires."""
    if signal.expires_s is not None and signal.max_age_s is not None:
        raise InconsistentContract(f"{path}.expires_s", "only a goal (max_age_s null) expires; a reading is stale")


def same_quantity(a: Any, b: Any) -> bool:
    """Whether two signals or commands are of the same shape, unit, frame and order."""
    return all(getattr(a, field) == getattr(b, field) for field in ("shape", "unit", "frame", "order"))


def check_still(path: str, signal: Any) -> None:
    """Only what a sensor measures in numbers must not stand still."""
    if signal.max_still_s is not None and (signal.max_age_s is None or signal.dtype != "float32"):
        raise InconsistentContract(f"{path}.max_still_s", "given, but only numbers of a sensor must not stand still")


def check_transition_rate(path: str, command: Any) -> None:
    """The command's way to stand-by and to safe is no faster than the command may ever change."""
    if command.transition_rate is None:
        return
    check_length(path, command, "transition_rate")
    for name, rate, limit in zip(command.order, command.transition_rate, command.max_rate, strict=True):
        if rate > limit:
            raise InconsistentContract(f"{path}.transition_rate", f"{rate} for {name} is above its max_rate {limit}")


def check_initial(path: str, memory: Any) -> None:
    """Nested values after a reset have the memory's shape."""
    if isinstance(memory.initial, tuple) and _nested_shape(f"{path}.initial", memory.initial) != memory.shape:
        raise InconsistentContract(f"{path}.initial", f"does not have the shape {text(memory.shape)}")


def _nested_shape(path: str, value: float | tuple) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        return ()
    shapes = {_nested_shape(path, item) for item in value}
    if len(shapes) > 1:
        raise InconsistentContract(path, "rows of different lengths")
    return (len(value), *next(iter(shapes), ()))


def check_chunk(path: str, chunk: Any, control_period_s: float) -> None:
    """A chunk is executed no longer than it is, tolerates what is left of it, and can be made as its strategy asks."""
    if chunk.execute > chunk.horizon:
        raise InconsistentContract(f"{path}.execute", f"{chunk.execute} of a chunk of {chunk.horizon} commands")
    left_s = (chunk.horizon - chunk.execute) * control_period_s
    if not math.isclose(chunk.tolerated_latency_s, left_s, rel_tol=1e-6, abs_tol=1e-9):
        problem = f"{chunk.tolerated_latency_s:g}, but {chunk.horizon - chunk.execute} control periods are {left_s:g}"
        raise InconsistentContract(f"{path}.tolerated_latency_s", problem)
    if chunk.executor.begins_near and not chunk.begins_near:
        raise InconsistentContract(
            f"{path}.begins_near", f"false, but {chunk.strategy} begins near to the chunk before"
        )


def check_joints(joints: Mapping[str, Any]) -> None:
    """Every joint has a range, and its default is within it."""
    for name, joint in joints.items():
        if not joint.position_min < joint.position_max:
            problem = f"{joint.position_min} is not below position_max {joint.position_max}"
            raise InconsistentContract(f"joints.{name}.position_min", problem)
        if not joint.position_min <= joint.default_position <= joint.position_max:
            problem = f"{joint.default_position} is outside [{joint.position_min}, {joint.position_max}]"
            raise InconsistentContract(f"joints.{name}.default_position", problem)


def check_unique(names: Sequence[tuple[str, str]]) -> None:
    """No two of the (group, name) pairs have the same name."""
    seen: dict[str, str] = {}
    for group, name in names:
        if name in seen:
            raise InconsistentContract(group, f"the graph name {name} is taken already (by {seen[name]})")
        seen[name] = group


def text(value: Any) -> str:
    """A value as it stands in a message; a tuple without quotes."""
    return f"({', '.join(map(str, value))})" if isinstance(value, tuple) else str(value)
