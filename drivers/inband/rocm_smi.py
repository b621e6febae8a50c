"""What `rocm-smi --json` with -a, -t, -P or the like says of each card.

UNPROVEN: no recording of a real one exists here. Written from ROCm/rocm_smi_lib python_smi_tools/rocm_smi.py (ROCm 6.3)
and outputs in public issues (ROCm 2.10, 5.7, 6.2): one flat object a card, every value a string, the names changing by
version and family. Warnings may stand before the JSON. degC, W. The second die of an MI250 shows no power of its own.
The JSON holds no memory errors (they are printed as a table only), so it is not enough to accept a card: see amd_smi.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object

TOOL = "rocm-smi"
LONGEST_BANNER = 4096
_CARD = re.compile(r"card([0-9]{1,4})")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?")
_POWER = ("current socket graphics package power (w)", "average graphics package power (w)")
_UNSAID = frozenset({"", "n/a", "unsupported", "none"})


@dataclass(frozen=True, slots=True)
class Card:
    """One card; empty or None where not said. `xgmi_errors`: 0 none, 1 one, 2 several since they were last read."""

    number: int
    product: str
    serial: str
    unique: str
    bus: str
    vbios: str
    power: float | None
    power_limit: float | None
    edge: float | None
    junction: float | None
    memory: float | None
    replays: int | None
    xgmi_errors: int | None


@dataclass(frozen=True, slots=True)
class Cards:
    """All cards, by their numbers, and the driver's version."""

    driver: str
    cards: tuple[Card, ...]


def parse(text: str) -> Cards:
    """The cards; raises ParseError where it is cut off or has none."""
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    if start > LONGEST_BANNER:
        raise ParseError(f"{TOOL}: the JSON does not begin in the first {LONGEST_BANNER} characters")
    found = read_object(text[start:], TOOL)
    cards = []
    for name, held in found.items():
        number = _CARD.fullmatch(name)
        if number is not None:
            cards.append(_card(int(number.group(1)), _lowered(held)))
    if not cards or len({card.number for card in cards}) != len(cards):
        raise ParseError(f"{TOOL}: there is no card, or one twice")
    system = found.get("system")
    driver = _lowered(system).get("driver version", "") if system is not None else ""
    return Cards(driver, tuple(sorted(cards, key=lambda card: card.number)))


def findings(found: Cards, *, cards: int) -> tuple[Finding, ...]:
    """What is wrong with the cards, as far as rocm-smi can tell: it says nothing of their memory."""
    return tuple(_findings(found, cards))


def _findings(found: Cards, cards: int) -> Iterator[Finding]:
    if len(found.cards) != cards:
        yield Finding(Verdict.FAIL, "", f"{len(found.cards)} cards answer where {cards} belong")
    for card in found.cards:
        unit = f"card{card.number}"
        if card.junction is None and card.edge is None:
            yield Finding(Verdict.ERROR, unit, "rocm-smi does not say its temperature")
        if card.power is None:
            yield Finding(Verdict.WARN, unit, "rocm-smi does not say its power: is it the second die of a package?")
        if card.xgmi_errors:
            yield Finding(Verdict.FAIL, unit, f"XGMI errors since the last reading: {card.xgmi_errors}")
        if card.replays:
            yield Finding(Verdict.WARN, unit, f"{card.replays} PCIe replays")


def _lowered(held: object) -> dict[str, str]:
    """Names in lower case without the colon that some end with; raises ParseError where two become one."""
    if not isinstance(held, dict):
        raise ParseError(f"{TOOL}: a card is no object")
    found: dict[str, str] = {}
    for name, value in held.items():
        plain = name.strip().rstrip(":").lower()
        word = str(value).strip() if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
        if found.get(plain, word) != word:
            raise ParseError(f"{TOOL}: {plain!r} occurs twice with different values")
        found[plain] = word
    return found


def _card(number: int, held: Mapping[str, str]) -> Card:
    return Card(
        number=number,
        product=_word(held, "card series", "device name", "card model", "gpu id"),
        serial=_word(held, "serial number"),
        unique=_word(held, "unique id"),
        bus=_word(held, "pci bus"),
        vbios=_word(held, "vbios version"),
        power=_quantity(held, *_POWER),
        power_limit=_quantity(held, "max graphics package power (w)"),
        edge=_quantity(held, "temperature (sensor edge) (c)"),
        junction=_quantity(held, "temperature (sensor junction) (c)"),
        memory=_quantity(held, "temperature (sensor memory) (c)", "temperature (sensor mem) (c)"),
        replays=_count(held, "pcie replay count"),
        xgmi_errors=_count(held, "xgmi error count"),
    )


def _word(held: Mapping[str, str], *names: str) -> str:
    return next((held[name] for name in names if held.get(name, "").lower() not in _UNSAID), "")


def _quantity(held: Mapping[str, str], *names: str) -> float | None:
    return next((float(held[name]) for name in names if _NUMBER.fullmatch(held.get(name, ""))), None)


def _count(held: Mapping[str, str], name: str) -> int | None:
    word = held.get(name, "")
    return int(word) if re.fullmatch(r"[0-9]{1,18}", word) else None
