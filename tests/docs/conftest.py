"""The pages of the documentation, and the examples that are marked in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_MARKED = re.compile(r"^<!-- example: (.+?) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One marked block: the page it stands on, the words of its mark, and its text."""

    page: str
    words: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Pages:
    """Every page of the documentation, by its path."""

    texts: dict[str, str]

    def examples(self, kind: str) -> list[Example]:
        """The marked examples of a kind; there is at least one."""
        found = [
            Example(page, tuple(mark.split()), block)
            for page, text in self.texts.items()
            for mark, _, block in _MARKED.findall(text)
        ]
        chosen = [example for example in found if example.words[0] == kind]
        assert chosen, f"no page has an example of kind {kind!r}"
        return chosen

    def commands(self) -> list[tuple[str, str]]:
        """Every command line of Rackproof in a shell block or in a table, with its page."""
        lines: list[tuple[str, str]] = []
        for page, text in self.texts.items():
            for block in _FENCED.findall(text):
                lines += [(page, line.strip()) for line in block.splitlines() if line.strip().startswith("rackproof ")]
            lines += [(page, line) for line in re.findall(r"`(rackproof [a-z]+ [^`\n]+)`", text)]
        return lines


@pytest.fixture(scope="session")
def pages() -> Pages:
    """README and everything below docs."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return Pages({path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths})
