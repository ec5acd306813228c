"""Pieces of a page. Text that comes from outside is escaped by whoever has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One headline: plain text."""

    label: str
    value: str
    detail: str


def fact(headline: Fact) -> str:
    """A headline as a card."""
    # A number stays on the line of its unit.
    label, value, detail = (
        re.sub(r"(?<=\d) (?=[%a-z])", "\u00a0", escape(text))
        for text in (headline.label, headline.value, headline.detail)
    )
    return (
        f'<div class="fact"><div class="label">{label}</div><div class="value">{value}</div>'
        f'<div class="detail">{detail}</div></div>'
    )


def section(title: str, text: str, *parts: str) -> str:
    """A part of the page; all of it is HTML."""
    return f"<section>\n<h2>{title}</h2>\n<p>{text}</p>\n" + "\n".join(parts) + "\n</section>\n"


def table(head: Sequence[str] | None, rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table of cells that are HTML already; columns in `numbers` are set flush right."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in numbers else ''}>{cell}</{tag}>" for i, cell in enumerate(row))

    top = f"<thead><tr>{cells('th', head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def key(color: str, text: str) -> str:
    """A line of a legend, for what is drawn in the page's colour of that name."""
    return f'<span class="key" style="color:var(--{color})"></span>{text}<br>'
