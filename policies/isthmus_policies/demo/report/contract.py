"""The contract as a part of the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from isthmus_deploy.contracts.contract import Contract, Provenance, Signal
from isthmus_policies.demo.report.html import section, table
from isthmus_policies.demo.report.record import Demo

_FEW = 4  # elements that are listed one by one


def contract(demo: Demo) -> str:
    """The contract, table by table."""
    agreed = demo.contract
    text = (
        "It travels inside the policy file. The node compared it with what the robot says of itself, line by line, and "
        "would have refused to start on any difference."
    )
    rate, period = 1 / agreed.control_period_s, 1e3 * agreed.control_period_s
    general = [
        ("robot", escape(agreed.robot)),
        ("control period", f"{period:g} ms ({rate:g} Hz)"),
        ("trained for a latency of", f"{1e3 * agreed.trained_latency_s:g} ms from sensor to motor"),
        ("policy file", f"{demo.policy_bytes / 1024:.0f} KiB, contract version {agreed.version}"),
        *([("before it was written", escape(demo.replayed))] if demo.replayed else []),
        ("digest (SHA-256)", f'<code class="long">{demo.digest}</code>'),
    ]
    return section("The contract", text, table(None, general), _signals(agreed), _commands(agreed), _rest(agreed))


def _signals(contract: Contract) -> str:
    rows = [
        (f"<code>{escape(s.name)}</code>", _unit(s.unit), escape(s.frame), _elements(s.order, contract),
         _range(s.minimum, s.maximum), _same(s.max_jump),
         "until replaced" if s.max_age_s is None else f"{s.max_age_s:g}", _trained(s))
        for s in contract.signals
    ]  # fmt: skip
    head = ("signal", "unit", "frame", "elements", "plausible", "largest jump", "oldest, s", "asked in training")
    return "<h3>Signals, robot → policy</h3>" + table(head, rows, numbers=(4, 5, 6, 7))


def _trained(signal: Signal) -> str:
    """The range of a goal that the policy has learned to follow; nothing for readings."""
    if signal.trained_minimum is None or signal.trained_maximum is None:
        return ""
    return _range(signal.trained_minimum, signal.trained_maximum)


def _commands(contract: Contract) -> str:
    rows = [
        (f"<code>{escape(c.name)}</code>", _unit(c.unit), escape(c.frame), _elements(c.order, contract),
         _range(c.minimum, c.maximum), _same(c.max_rate), _same(c.safe))
        for c in contract.commands
    ]  # fmt: skip
    head = ("command", "unit", "frame", "elements", "range", "fastest change, per s", "when stopped")
    return "<h3>Commands, policy → robot</h3>" + table(head, rows, numbers=(4, 5, 6))


def _rest(contract: Contract) -> str:
    memory = [
        (f"<code>{escape(m.name)}</code>", " × ".join(map(str, m.shape)), escape(m.order), escape(str(m.initial)))
        for m in contract.memory
    ]
    origin = contract.provenance
    rows = [
        ("task", escape(origin.task)),
        ("from the package", escape(_packages(origin))),
        ("robot's model", escape(origin.robot_model)),
        ("engine", escape(origin.engine)),
        ("seed", str(origin.seed)),
        ("demonstrations", escape(origin.data or "none")),
        ("code revision", f"<code>{escape(origin.code_revision)}</code>"),
        ("exported", escape(origin.created)),
        ("second opinion", escape("; ".join(map(str, origin.second_opinions or ())) or "none")),
    ]
    return (
        ("<h3>Memory</h3>" + table(("name", "shape", "order", "initial"), memory) if memory else "")
        + (_joints(contract) if contract.joints else "")
        + "<h3>Where it came from</h3>"
        + table(None, rows)
        + _task_config(origin)
    )


def _packages(origin: Provenance) -> str:
    """Who registered what the policy was made with, in one line; of an older contract, who registered its task."""
    registered: dict[str, list[str]] = {}
    for what, package in origin.packages.items():
        registered.setdefault(package, []).append(what)
    lines = [f"{package} ({', '.join(each)})" for package, each in registered.items()]
    return "; ".join(lines) or f"{origin.package} {origin.package_version}"


def _task_config(origin: Provenance) -> str:
    text = escape(json.dumps(origin.task_config, indent=2, ensure_ascii=False))
    return f"<details><summary>The task's configuration in training</summary><pre>{text}</pre></details>"


def _joints(contract: Contract) -> str:
    commands = [command for command in contract.commands if command.order == tuple(contract.joints)]
    rows = [
        (f"<code>{escape(name)}</code>", f"{j.stiffness:g}", f"{j.damping:g}",
         f"{j.position_min:g} … {j.position_max:g}", f"{j.velocity_limit:g}", f"{j.effort_limit:g}",
         f"{j.default_position:g}", *(_number(command.safe[i]) for command in commands))
        for i, (name, j) in enumerate(contract.joints.items())
    ]  # fmt: skip
    head = ("joint", "stiffness", "damping", "position", "speed limit", "effort limit", "default")
    head += ("when stopped",) * len(commands)
    return "<h3>Joints, SI units</h3>" + table(head, rows, numbers=tuple(range(1, len(head))))


def _unit(unit: str) -> str:
    return "–" if unit == "1" else escape(unit)


def _elements(order: Sequence[str], contract: Contract) -> str:
    if contract.joints and tuple(order) == tuple(contract.joints):
        return f"the {len(order)} joints below"
    return " ".join(map(escape, order))


def _range(low: Sequence[float], high: Sequence[float]) -> str:
    ends = list(zip(low, high, strict=True))
    if len(set(ends)) > 1 and len(ends) > _FEW:
        ends = [(min(low), max(high))]
    spans = [f"±{_number(b)}" if a == -b else f"{_number(a)} … {_number(b)}" for a, b in ends]
    return spans[0] if len(set(spans)) == 1 else ", ".join(spans)


def _same(values: Sequence[float]) -> str:
    """One number where all elements have the same; their range where there are many."""
    if len(set(values)) == 1:
        return _number(values[0])
    if len(values) > _FEW:
        return f"{_number(min(values))} … {_number(max(values))}"
    return ", ".join(map(_number, values))


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
