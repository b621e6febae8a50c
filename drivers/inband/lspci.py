"""PCI Express links: capability and state of each, from `lspci -vvv` or from sysfs.

Seen: lspci 3.9 run on a machine without links; the shapes of 3.5 … 3.13 from pciutils ls-caps.c and its tests: no
remark in 3.5, `(ok)` and `(downgraded)` in 3.7, since 3.8 only `(downgraded)` and `(overdriven)`, and no `(downgraded)`
on the downstream side of a link. So speed and width are compared here, whatever it remarks. Without privileges it
prints `<access denied>` for everything that matters. sysfs: Documentation/ABI/testing/sysfs-bus-pci, as `grep .` prints
the files {current,max}_link_{speed,width}. Units: GT/s a lane, lanes. An accelerator slows its link down when idle, so
speed is judged under load.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict

TOOL = "lspci"
LONGEST = 16 * 2**20
_DEVICE = re.compile(r"((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) (\S.{0,400})")
_KIND = re.compile(
    r"\tCapabilities: \[[0-9a-f]{2,3}\] Express (?:\(v\d{1,2}\) )?([A-Z][A-Za-z/ -]{2,50}?)(?: \(Slot[+-]\)|,|$)"
)
_LINK = re.compile(
    r"\t\tLnk(Cap|Sta):\t(?:Port #\d{1,3}, )?Speed (\S{1,10})(?: \((\w{1,20})\))?, "
    r"Width x(\d{1,3})(?: \((\w{1,20})\))?(?:,.{0,300})?"
)
_SPEED = re.compile(r"(\d{1,3}(?:\.\d)?)(?:GT/s| GT/s(?: PCIe)?)")
_SYSFS = re.compile(
    r"(?:\S{0,200}/)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/(current|max)_link_(speed|width):(.{0,40})"
)
_LANES = re.compile(r"\d{1,3}")
_WIDEST = 32
_DOWNSTREAM = ("Root Port", "Downstream Port", "PCI/PCI-X to PCI-Express Bridge")
"""Their slot may be empty, and what is in it tells of the same link."""
_NO_LINK = ("Root Complex Integrated Endpoint", "Root Complex Event Collector")


@dataclass(frozen=True, slots=True)
class Link:
    """The link of one device. Speeds in GT/s, widths in lanes; None where there is no link, or it is not said.

    `kind` is the port type in lspci's words, empty from sysfs; `denied` where privileges were missing.
    """

    address: str
    name: str
    kind: str
    fastest: float | None
    widest: int | None
    speed: float | None
    width: int | None
    denied: bool = False


@dataclass(slots=True)
class _Draft:
    address: str
    name: str = ""
    kind: str = ""
    denied: bool = False
    values: dict[str, float | int | None] = field(default_factory=dict)

    def put(self, name: str, value: float | int | None) -> None:
        if name in self.values and self.values[name] != value:
            raise ParseError(f"{TOOL}: {self.address} has two values of {name}")
        self.values[name] = value

    def link(self) -> Link:
        fastest, speed = (self.values.get(each) for each in ("max_speed", "current_speed"))
        widest, width = (self.values.get(each) for each in ("max_width", "current_width"))
        lanes = [None if each is None else int(each) for each in (widest, width)]
        return Link(self.address, self.name, self.kind, fastest, lanes[0], speed, lanes[1], self.denied)


def parse(text: str) -> tuple[Link, ...]:
    """Every PCI Express device of `lspci -vvv`, and every one whose capabilities were denied; raises ParseError."""
    drafts: list[_Draft] = []
    for line in fields.whole_lines(text, TOOL, LONGEST):
        device = _DEVICE.fullmatch(line[:500])
        if device:
            drafts.append(_Draft(device.group(1), device.group(2)))
        elif line and not line[0].isspace() and not line.startswith(("lspci:", "pcilib:")):
            raise ParseError(f"{TOOL}: this is no device: {line[:80]}")
        elif drafts:
            _read(drafts[-1], line)
        elif line.strip() and line[0].isspace():
            raise ParseError(f"{TOOL}: the output begins in the middle")
    return _links(draft for draft in drafts if draft.kind or draft.denied or draft.values) if drafts else _nothing()


def _nothing() -> tuple[Link, ...]:
    raise ParseError(f"{TOOL}: there is no device in the output")


def _read(draft: _Draft, line: str) -> None:
    if "Capabilities: <access denied>" in line:
        draft.denied = True
    elif kind := _KIND.match(line):
        draft.kind = kind.group(1)
    elif line.startswith(("\t\tLnkCap:", "\t\tLnkSta:")):
        link = _LINK.fullmatch(line)
        if link is None:
            raise ParseError(f"{TOOL}: {draft.address}: a garbled link: {line.strip()[:80]}")
        which = "max" if link.group(1) == "Cap" else "current"
        speed = _speed(link.group(2))
        draft.put(f"{which}_speed", speed)
        draft.put(f"{which}_width", _width(link.group(4)))


def parse_sysfs(text: str) -> tuple[Link, ...]:
    """The links whose four files `grep .` printed, each line as `…/ADDRESS/current_link_speed:16.0 GT/s PCIe`."""
    drafts: dict[str, _Draft] = {}
    for line in fields.whole_lines(text, TOOL, LONGEST):
        found = _SYSFS.fullmatch(line[:500])
        if found is None:
            raise ParseError(f"{TOOL}: this is no file of a link: {line[:80]}")
        draft = drafts.setdefault(found.group(1), _Draft(found.group(1)))
        said = found.group(4).strip()
        draft.put(f"{found.group(2)}_{found.group(3)}", _speed(said) if found.group(3) == "speed" else _width(said))
    if not drafts:
        raise ParseError(f"{TOOL}: there is no device in the output")
    return _links(drafts.values())


def _links(drafts: Iterable[_Draft]) -> tuple[Link, ...]:
    links = tuple(draft.link() for draft in drafts)
    if len({link.address for link in links}) != len(links):
        raise ParseError(f"{TOOL}: one address twice")
    return links


def _speed(word: str) -> float | None:
    if word.lower().startswith("unknown"):
        return None
    found = _SPEED.fullmatch(word)
    if found is None:
        raise ParseError(f"{TOOL}: {word!r} is no speed")
    return float(found.group(1)) or None


def _width(word: str) -> int | None:
    """Lanes; None for x0 (no link), and for the kernel's 63 and 255, which it reads where nothing answers."""
    if not _LANES.fullmatch(word):
        raise ParseError(f"{TOOL}: {word!r} is no width")
    lanes = int(word)
    return lanes if 0 < lanes <= _WIDEST else None


def findings(links: tuple[Link, ...], *, loaded: bool = True, wanted: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """A link narrower or, under load, slower than its device can is FAIL, slower when idle WARN; unreadable is ERROR.

    `wanted` are addresses that must be listed: FAIL where one is not. The downstream side of a link is not judged in
    lspci's output, its partner is. From sysfs name only devices that must have a link.
    """
    listed = {link.address for link in links}
    missing = [Finding(Verdict.FAIL, each, "it is not on the bus") for each in wanted if each not in listed]
    return (*missing, *(finding for link in links for finding in _judge(link, loaded)))


def _judge(link: Link, loaded: bool) -> list[Finding]:
    if link.denied:
        return [Finding(Verdict.ERROR, link.address, "its capabilities are hidden: start lspci as root")]
    if link.kind in (*_DOWNSTREAM, *_NO_LINK):
        return []
    name = f": {link.name}" if link.name else ""
    if link.fastest is None or link.widest is None or link.speed is None or link.width is None:
        return [Finding(Verdict.ERROR, link.address, f"its link has no state or no capability{name}")]
    found = []
    if link.width < link.widest:
        found.append(Finding(Verdict.FAIL, link.address, f"x{link.width} of x{link.widest} lanes{name}"))
    if link.speed < link.fastest:
        verdict = Verdict.FAIL if loaded else Verdict.WARN
        found.append(Finding(verdict, link.address, f"{link.speed:g} of {link.fastest:g} GT/s{name}"))
    return found
