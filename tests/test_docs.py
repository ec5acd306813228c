"""The documentation: lines that can be read in any editor, and code and names in it that are so."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST = 159  # characters of a line of prose

FENCE = re.compile(r"(?:[-*+>] +| )*(```|~~~)")
TABLE_IMAGE_OR_HTML = ("|", "![", "<")
SINGLE_LINK = re.compile(r"(?:[-*+>] +)*(?:\[[^\]]*\]\(\S+\)|https?://\S+)[.,;:]?")
CODE_SPAN = re.compile(r"`([^`]+)`")
DOTTED_NAME = re.compile(r"(?<![\w/.])isthmus_\w+(?:\.\w+)+")
NAME_IN_MODULE = re.compile(r"`(\w+)[^`]*` in `(isthmus_[\w.]+)`")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines that can be broken: no code, table, image, HTML or line that is a single link."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        found = FENCE.match(line)
        if found and fence in (None, found[1]):
            fence = None if fence else found[1]
        elif fence is None and not bare.startswith(TABLE_IMAGE_OR_HTML) and not SINGLE_LINK.fullmatch(bare):
            yield number, line


def test_prose_is_told_from_what_cannot_be_broken():
    long = "x" * 200
    kept = ["a line", "- a list with [a link](to/it)", "  goes on", "> a quotation", "see [one](a) and [two](b)"]
    left_out = [f"| {long} |", f"![{long}](image.png)", f"<img src={long}>", f"- [a link]({long})", f"https://{long}"]
    code = ["```python", long, "~~~", "```"]
    assert [line for _, line in prose("\n".join([*kept, *code, *left_out]))] == kept
    assert list(prose("\n".join([*code, "after"]))) == [(5, "after")]


def test_no_line_of_prose_is_too_long():
    found = [
        f"{page.relative_to(ROOT)}:{number}: {len(line)} characters, {LONGEST} at most; break it at a word"
        for page in PAGES
        for number, line in prose(page.read_text("utf-8"))
        if len(line) > LONGEST
    ]
    assert not found, "\n".join(found)


def test_the_library_in_ten_lines_runs_and_its_observations_have_the_sizes_it_says():
    _, _, rest = (ROOT / "docs" / "python.md").read_text("utf-8").partition("```python\n")
    code = rest.partition("```")[0]
    once = code.replace("range(100)", "range(1)")
    assert once != code, "shorten the loop of docs/python.md here as it is written there"
    told = re.search(r"observations = env\.reset\(\)  # (\{.*\})", code)
    assert told, "docs/python.md says no sizes of the observations"
    once += "\nprint({name: tuple(values.shape) for name, values in observations.items()})"
    # Without what importing isthmus_sim has set in this process: with it, torch may come first and nothing warns.
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", once]
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert ast.literal_eval(result.stdout.splitlines()[-1]) == ast.literal_eval(told[1])


def missing(name: str) -> str | None:
    """Why the dotted name is neither a module nor an attribute of one; None if it is."""
    try:
        resolve_name(name)
    except (ImportError, AttributeError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("page", ["docs/python.md", "docs/architecture.md", "docs/your_robot.md", "CONTRIBUTING.md"])
def test_names_of_modules_can_be_imported(page: str):
    wrong = []
    for number, line in enumerate((ROOT / page).read_text("utf-8").splitlines(), 1):
        names = [name for code in CODE_SPAN.findall(line) for name in DOTTED_NAME.findall(code)]
        names += [f"{module}.{name}" for name, module in NAME_IN_MODULE.findall(line)]
        wrong += [f"{page}:{number}: {name}: {reason}" for name in names if (reason := missing(name))]
    assert not wrong, "\n".join(wrong)
