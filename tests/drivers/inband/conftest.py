"""What the tests of the in-band parsers share: recorded outputs, and ways to spoil them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CAPTURES = Path(__file__).parents[4] / "shared" / "captures" / "inband"
DOUBTFUL = ("nan", "-nan", "inf", "N/A", "", "-1", "1e999", "9" * 40, "null", "\u0663", "[" * 200, "{", '"', "<", "&a;")
"""What is put in the place of a number."""

Mutations = Callable[[str, int, int], Iterator[str]]
Recorded = Callable[[str], str]


@pytest.fixture
def recorded() -> Recorded:
    """`recorded(name)`: the recorded output as the tool wrote it, line ends included; skips where it is not here."""

    def read(name: str) -> str:
        file = CAPTURES / name
        if not file.exists():
            pytest.skip(f"the recording {name} is not here")
        return file.read_bytes().decode(errors="replace")

    return read


@pytest.fixture
def mutations() -> Mutations:
    """`mutations(text, seed, count)`: `count` spoilt copies of `text`, the same ones for the same seed."""
    return spoil


def spoil(text: str, seed: int, count: int) -> Iterator[str]:
    """Prefixes, suffixes, splices, flipped bytes, lost and doubled lines, and numbers that are none."""
    kinds = (_prefix, _suffix, _splice, _flip, _lose_lines, _double_lines, _unnumber)
    chance = random.Random(seed)
    for number in range(count):
        yield kinds[number % len(kinds)](text, chance)


def _prefix(text: str, chance: random.Random) -> str:
    return text[: chance.randint(0, len(text))]


def _suffix(text: str, chance: random.Random) -> str:
    return text[chance.randint(0, len(text)) :]


def _splice(text: str, chance: random.Random) -> str:
    """The beginning of one copy and the end of another: a part lost or a part twice."""
    return text[: chance.randint(0, len(text))] + text[chance.randint(0, len(text)) :]


def _flip(text: str, chance: random.Random) -> str:
    octets = bytearray(text.encode(errors="replace"))
    for _ in range(chance.choice((1, 1, 1, 4, 16)) if octets else 0):
        octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
    return octets.decode(errors="replace")


def _lose_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    start = chance.randint(0, len(lines))
    return "".join(lines[:start] + lines[start + chance.randint(1, 5) :])


def _double_lines(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    start = chance.randint(0, len(lines))
    return "".join(lines[: start + chance.randint(1, 5)] + lines[start:])


def _unnumber(text: str, chance: random.Random) -> str:
    numbers = list(re.finditer(r"\d+(?:\.\d+)?", text))
    if not numbers:
        return chance.choice(DOUBTFUL)
    found = chance.choice(numbers)
    return text[: found.start()] + chance.choice(DOUBTFUL) + text[found.end() :]
