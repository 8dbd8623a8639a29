"""README.md says what is true: its Python blocks run in order, the output it shows is what they print, names and links exist.

An output block is a `text` block after a `python` block; `...` in it stands for anything; times and vector widths may differ.
`pytest --update-golden` writes output that differs into the file.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import re
from pathlib import Path

import pytest

import graphc as gx
from tests.test_import import fresh

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIES = re.compile(r"(?<=vector )\d+ x \d+|\d+\.\d(?= ms)")  # lanes and unrolling of this processor; times
BLOCKS = [(match[1], match[2]) for match in FENCE.finditer(TEXT)]


def agrees(shown: str, printed: str) -> bool:
    """Whether `printed` is what is shown, `...` standing for anything."""
    shown, printed = (VARIES.sub("?", text).strip() for text in (shown, printed))
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("...")), printed, re.DOTALL) is not None


def printed_by(source: str, namespace: dict[str, object]) -> str:
    """What a block prints. Its nodes say `tour.py`, so that shown output does not depend on where the block stands."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, "tour.py", "exec"), namespace)
    return out.getvalue()


def print_all() -> None:
    """What each block prints, as JSON."""
    namespace: dict[str, object] = {"__name__": "tour"}
    print(json.dumps([printed_by(source, namespace) if kind == "python" else "" for kind, source in BLOCKS]))


def test_python_blocks_print_what_is_shown(request: pytest.FixtureRequest) -> None:
    """In a process of its own: an equal node that an earlier test keeps would show where it was made there."""
    text, wrong = TEXT, []
    outputs = json.loads(fresh("from tests.test_readme import print_all; print_all()"))
    for (kind, source), (next_kind, shown), printed in zip(BLOCKS, [*BLOCKS[1:], ("", "")], outputs, strict=True):
        if kind != "python":
            continue
        if next_kind != "text":
            assert not printed, f"this block prints, but no output is shown:\n{source}"
        elif not agrees(shown, printed):
            wrong.append(f"{source}\nshown:\n{shown}\nprinted:\n{printed}")
            text = text.replace(f"{source}```\n\n```text\n{shown}```", f"{source}```\n\n```text\n{printed.rstrip()}\n```", 1)
    if wrong and request.config.getoption("--update-golden"):
        README.write_text(text, encoding="utf-8")
    else:
        assert not wrong, "\n\n".join(wrong)


def test_an_output_that_is_not_so_is_noticed() -> None:
    assert agrees("a ... c", "a b c\n") and agrees("in n (vector 16 x 2): 0.7 ms", "in n (vector 8 x 4): 11.2 ms")
    assert not agrees("a ... c", "a b d") and not agrees("a", "a\nb") and not agrees("1.0", "1x0")


@pytest.mark.parametrize("command", ["pip install . && python examples/digits.py", 'pip install ".[test]" && pytest'])
def test_the_two_commands_stand_alone(command: str) -> None:
    assert ("sh", command + "\n") in BLOCKS


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert 'pip install ".[test]" && pytest' in (ROOT / ".ci" / "run").read_text()


def test_every_name_it_mentions_exists() -> None:
    names = set(re.findall(r"\bgx\.([a-zA-Z_]+(?:\.[a-z_]+)*)", TEXT))
    assert len(names) > 30
    for name in sorted(names):
        functools.reduce(getattr, name.split("."), gx)


def test_what_is_not_there_yet_is_not_there() -> None:
    section = TEXT.split("\n## What is not there yet\n")[1].split("\n## ")[0]
    names = re.findall(r"`([a-z_]+)`", section)
    assert names
    assert [name for name in names if hasattr(gx, name)] == [], "it is there: say so"


def test_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif not link.startswith("https:"):
            assert (ROOT / link).exists(), link
