"""Ports of an Arista switch below the packets: `show interfaces phy detail` of EOS, as text; JSON has no FEC counters.

Sources: outputs quoted in public tools and tickets (EOS 4.23 … 4.33); none is here whole. A port begins with its name
in the first column; below it stand a name, what it is now, how often it changed, and when. Only what is judged is read:
a port that says two things of one is no result. Older EOS shows of codewords only its latest look at the hardware: such
a number falls, and whoever compares two of them must see that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError

TOOL = "show interfaces phy detail"
LONGEST = 16 * 2**20
_PORT = re.compile(r"(Ethernet\d[\d/]{0,12}|Management\d[\d/]{0,12})")
_ROW = re.compile(
    r"\s{1,40}(PHY state|Forward Error Correction|Reed-Solomon codeword size|FEC alignment lock|"
    r"FEC corrected codewords|FEC uncorrected codewords|Oper speed)\s{1,80}(\S.*)"
)
_WORDS = re.compile(r"\s{2,}|\s+(?=\d+\s+\S+ ago$)|\s+(?=\d+\s+never$)")
_RATE = re.compile(r"(\d{1,4})\s?Gbps")
_CODEWORDS = re.compile(r"\d{1,20}")


@dataclass(frozen=True, slots=True)
class EosPort:
    """One port. `changes` is how often its state changed; counters are None where the port shows none."""

    name: str
    state: str
    changes: int | None
    speed: float | None
    """Gbit/s."""
    fec: str
    corrected: int | None
    uncorrectable: int | None

    @property
    def up(self) -> bool | None:
        """Whether the link is up; None in a state that is neither."""
        return {"linkUp": True, "linkDown": False}.get(self.state)

    @property
    def downs(self) -> int | None:
        """How often it went down: its state begins as down, and every second change is a loss."""
        return None if self.changes is None else self.changes // 2


def parse(text: str) -> tuple[EosPort, ...]:
    """Every port in the switch's order; raises ParseError where one is cut off, twice there, or contradicts itself."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    if not text.endswith("\n"):
        raise ParseError(f"{TOOL}: the output is empty or its last line is cut off")
    ports: dict[str, dict[str, list[str]]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("%"):
            raise ParseError(f"{TOOL}: the switch says {line[:120]!r}")
        head, row = _PORT.fullmatch(line.rstrip()), _ROW.fullmatch(line.rstrip())
        if head is not None:
            name = head[1]
            if name in ports:
                raise ParseError(f"{TOOL}: {name} is there twice")
            ports[name] = {}
        elif row is not None:
            if not name:
                raise ParseError(f"{TOOL}: {row[1]} stands before any port")
            cells = [cell for cell in _WORDS.split(row[2].strip()) if cell]
            if ports[name].setdefault(row[1], cells) != cells:
                raise ParseError(f"{TOOL}: {name} says two things of {row[1]}")
    if not ports:
        raise ParseError(f"{TOOL}: there is no port")
    return tuple(_port(name, rows) for name, rows in ports.items())


def _port(name: str, rows: dict[str, list[str]]) -> EosPort:
    if "PHY state" not in rows:
        raise ParseError(f"{TOOL}: {name} has no state")
    state = rows["PHY state"]
    changes = state[1] if len(state) > 1 else ""
    if changes and not _CODEWORDS.fullmatch(changes):
        raise ParseError(f"{TOOL}: the state of {name} changed {changes[:40]!r} times")
    counts = {}
    for what in ("corrected", "uncorrected"):
        cells = rows.get(f"FEC {what} codewords")
        if cells is not None and not _CODEWORDS.fullmatch(cells[0]):
            raise ParseError(f"{TOOL}: {what} codewords of {name} are {cells[0][:40]!r}")
        counts[what] = None if cells is None else int(cells[0])
    if (counts["corrected"] is None) != (counts["uncorrected"] is None):
        raise ParseError(f"{TOOL}: {name} has codewords of one kind only")
    rate = _RATE.match(rows["Oper speed"][0]) if "Oper speed" in rows else None
    return EosPort(
        name=name,
        state=state[0],
        changes=int(changes) if changes else None,
        speed=float(rate[1]) if rate else None,
        fec=_scheme(name, rows),
        corrected=counts["corrected"],
        uncorrectable=counts["uncorrected"],
    )


def _scheme(name: str, rows: dict[str, list[str]]) -> str:
    """`rs-544`, `base-r`, `off`; empty where the port does not say."""
    said = rows.get("Forward Error Correction", [""])[0]
    if said == "Reed-Solomon":
        size = rows.get("Reed-Solomon codeword size", [""])[0]
        if size and not _CODEWORDS.fullmatch(size):
            raise ParseError(f"{TOOL}: the codewords of {name} have {size[:40]!r} symbols")
        return f"rs-{size}" if size else "rs"
    return {"Fire-code": "base-r", "Fire code": "base-r", "None": "off", "Disabled": "off"}.get(said, "")
