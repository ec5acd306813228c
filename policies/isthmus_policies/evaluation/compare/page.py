"""The comparison as one page: a table, and where robots went on each engine, one over the other."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

from isthmus_policies.evaluation.compare.comparison import Driven

SHOWN = 6
"""Episodes whose ways are drawn."""
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}td:first-child,th:first-child"
    "{text-align:left}img{max-width:100%}"
)


def page(title: str, verdict: str, rows: Sequence[Sequence[str]], driven: Mapping[str, Driven], period_s: float) -> str:
    """HTML, everything in it. rows: the table's, its heading first."""
    heading, *others = ([escape(cell) for cell in row] for row in rows)
    head = "".join(f"<th>{cell}</th>" for cell in heading)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in others)
    image = base64.b64encode(_ways(driven, period_s)).decode()
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>
<body><h1>{escape(title)}</h1><p>{escape(verdict)}</p><table><tr>{head}</tr>{body}</table>
<p>Where the robot was in the first {SHOWN} episodes, on each engine from the same start with the same body.</p>
<img alt="trajectories" src="data:image/png;base64,{image}"></body></html>
"""


def _ways(driven: Mapping[str, Driven], period_s: float) -> bytes:
    """A picture, PNG: each episode's way from above, or its first coordinate, and its last coordinate over time."""
    from matplotlib.figure import Figure  # takes half a second

    figure = Figure(figsize=(3.2 * SHOWN, 6.0), layout="constrained")
    axes = figure.subplots(2, SHOWN)
    for number, (name, each) in enumerate(driven.items()):
        times = [step * period_s for step in range(len(each.places))]
        for episode in range(min(SHOWN, each.places.shape[1])):
            way, style = each.places[:, episode], {"color": f"C{number}", "lw": 1.2, "label": name}
            from_above = way.shape[-1] == 3
            axes[0, episode].plot(*((way[:, 0], way[:, 1]) if from_above else (times, way[:, 0])), **style)
            axes[1, episode].plot(times, way[:, -1], **style)
            axes[0, episode].set_title(f"episode {episode}")
            if from_above:
                axes[0, episode].set_aspect("equal", adjustable="datalim")
    axes[0, 0].legend()
    axes[1, 0].set_xlabel("s")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=80)
    return file.getvalue()
