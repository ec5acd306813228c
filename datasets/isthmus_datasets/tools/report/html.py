"""Pieces of the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.images.frames import png


def fact(label: str, value: str, detail: str) -> str:
    """A headline, from plain text."""
    return f'<div class="fact"><span>{escape(label)}</span><b>{escape(value)}</b><span>{escape(detail)}</span></div>'


def section(title: str, text: str, *parts: str) -> str:
    """A part of the page: `title` and `text` are plain, `parts` HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n" + "\n".join(parts) + "\n</section>\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """From cells of plain text; the columns `numbers` are set flush right, and a severity has its colour."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{_style(i, cell)}>{escape(cell)}</{tag}>" for i, cell in enumerate(row))

    def _style(i: int, cell: str) -> str:
        kind = cell if cell in ("error", "warning", "note") else "n" if i in numbers else ""
        return f' class="{kind}"' if kind else ""

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def film(images: NDArray[np.uint8], caption: str) -> str:
    """`images` (n, h, w, 3) side by side."""
    tags = "".join(
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(png(image)).decode()}">' for image in images
    )
    return f"<figure><div>{tags}</div><figcaption>{escape(caption)}</figcaption></figure>"


def fold(title: str, content: str) -> str:
    """Shown when asked for."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"
