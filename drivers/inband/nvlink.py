"""What `nvidia-smi nvlink -s` and `nvidia-smi nvlink -e` say of each accelerator's NVLink links.

Recorded: `-s` of A100 (12 links) and of an accelerator with all links inactive. `-e` of NVLink 5 is known only in
shape, from a field note on driver 595.91, the older one (Replay, Recovery, CRC) from published outputs of H100: read
them with caution until recorded. GB/s are 10^9 octets a second and direction. Healthy links have raw errors and FEC
codewords in the low bins; bin 0 counts codewords without an error. 15e-255 is the tool's zero, not a measured rate.
Limits: effective BER 1e-15 (OCI's link check, mlxlink nominal), no error, recovery or discard at all (gcm, DCGM).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict

TOOL = "nvidia-smi nvlink"
LONGEST = 4 * 2**20
LONGEST_LINE = 400
ACCEPTED_RATE = 1e-15
"""Effective and symbol bit error ratio that a new link may not exceed."""
WORRYING_BIN, REFUSED_BIN = 8, 12
"""Codewords with so many wrong symbols; 15 is the most that RS(544,514) corrects."""
_GPU = re.compile(r"GPU ([0-9]{1,4}): (.{1,200}?) \(UUID: ([\w/-]{1,80})\)")
_LINK = re.compile(r"Link ([0-9]{1,3}): (.{1,200})")
_SPEED = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) GB/s")
_COUNTER = re.compile(r"(.{1,80}): ([^:]{1,40})")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?(?:[eE]-?[0-9]{1,3})?")
_BIN = re.compile(r"fec errors - ([0-9]{1,2})")
_INACTIVE = frozenset({"<inactive>", "inactive", "disabled", "down"})
_NOTHING = "unable to retrieve nvlink information"
_OLDER = frozenset({"replay errors", "recovery errors", "crc errors"})
_NEWER = frozenset(
    {
        "malformed packet errors",
        "buffer overrun errors",
        "rx errors",
        "local link integrity errors",
        "link recovery failed events",
        "total link recovery events",
        "effective errors",
        "symbol errors",
    }
)
_ZERO = (
    _OLDER
    | _NEWER
    | {"rx remote errors", "rx general errors", "tx discards", "link recovery successful events", "crc data errors"}
    | {"crc flit errors", "ecc errors"}
)
"""Counters that may not move on an accepted link."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link: GB/s a direction, None where it is not active, and what the tool said of it."""

    number: int
    speed: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Linked:
    """One accelerator and its links; `inactive` where the tool said that all of them are."""

    number: int
    product: str
    uuid: str
    links: tuple[Link, ...]
    inactive: bool


@dataclass(frozen=True, slots=True)
class Counted:
    """One link's counters by their lower-case names; None where the tool gave no number."""

    number: int
    counters: tuple[tuple[str, float | None], ...]

    def value(self, name: str) -> float | None:
        """The counter's number, None where it is missing or was no number."""
        return dict(self.counters).get(name)


@dataclass(frozen=True, slots=True)
class Tallied:
    """One accelerator and the counters of its links."""

    number: int
    product: str
    uuid: str
    links: tuple[Counted, ...]
    inactive: bool


def parse_status(text: str) -> tuple[Linked, ...]:
    """The links by `nvlink -s`; raises ParseError where a line is cut off or comes twice."""
    found = []
    for number, product, uuid, lines, inactive in _sections(text):
        links = []
        for link, said in lines:
            speed = _SPEED.fullmatch(said)
            if speed is None and said.lower() not in _INACTIVE:
                raise ParseError(f"{TOOL}: link {link} of GPU {number} is {said!r}")
            links.append(Link(link, float(speed.group(1)) if speed else None, said))
        if len({link.number for link in links}) != len(links):
            raise ParseError(f"{TOOL}: a link of GPU {number} comes twice")
        found.append(Linked(number, product, uuid, tuple(links), inactive))
    return tuple(found)


def parse_errors(text: str) -> tuple[Tallied, ...]:
    """The counters by `nvlink -e`; raises ParseError where a line is cut off or comes twice."""
    found = []
    for number, product, uuid, lines, inactive in _sections(text):
        links: dict[int, dict[str, float | None]] = {}
        for link, said in lines:
            counter = _COUNTER.fullmatch(said)
            if counter is None:
                raise ParseError(f"{TOOL}: link {link} of GPU {number}: {said!r} is no counter")
            name, value = counter.group(1).strip().lower(), counter.group(2).strip()
            held = links.setdefault(link, {})
            if name in held:
                raise ParseError(f"{TOOL}: {name} of link {link} of GPU {number} comes twice")
            held[name] = _number(value)
        counted = tuple(Counted(link, tuple(held.items())) for link, held in links.items())
        found.append(Tallied(number, product, uuid, counted, inactive))
    return tuple(found)


def findings(status: tuple[Linked, ...], *, gpus: int, links: int, speed: float) -> tuple[Finding, ...]:
    """Whether `gpus` accelerators have `links` links each, all active at `speed` GB/s or more."""
    return tuple(_status_findings(status, gpus, links, speed))


def error_findings(
    errors: tuple[Tallied, ...], *, gpus: int, links: int, before: tuple[Tallied, ...] | None = None
) -> tuple[Finding, ...]:
    """Whether no link had an error, since the reading `before` or else since its counters were cleared."""
    return tuple(_error_findings(errors, gpus, links, before))


def _sections(text: str) -> Iterator[tuple[int, str, str, list[tuple[int, str]], bool]]:
    """Number, product, UUID, link lines of each accelerator, and whether all its links are inactive."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    sections: list[tuple[int, str, str, list[tuple[int, str]], bool]] = []
    for line in text.splitlines():
        plain = line.strip()
        gpu = _GPU.fullmatch(plain) if len(plain) <= LONGEST_LINE else None
        link = _LINK.fullmatch(plain) if len(plain) <= LONGEST_LINE else None
        if gpu is not None:
            sections.append((int(gpu.group(1)), gpu.group(2), gpu.group(3), [], False))
        elif not plain:
            continue
        elif not sections:
            raise ParseError(f"{TOOL}: {plain[:80]!r} stands before the first accelerator")
        elif link is not None:
            sections[-1][3].append((int(link.group(1)), link.group(2).strip()))
        elif _NOTHING in plain.lower():
            sections[-1] = (*sections[-1][:4], True)
        else:
            raise ParseError(f"{TOOL}: {plain[:80]!r} is nothing it prints")
    if not sections:
        raise ParseError(f"{TOOL}: it names no accelerator")
    if len({each[0] for each in sections}) != len(sections) or len({each[2] for each in sections}) != len(sections):
        raise ParseError(f"{TOOL}: an accelerator comes twice")
    if any(inactive and lines for _, _, _, lines, inactive in sections):
        raise ParseError(f"{TOOL}: links of an accelerator that has none active")
    yield from sections


def _number(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _status_findings(status: tuple[Linked, ...], gpus: int, links: int, speed: float) -> Iterator[Finding]:
    if len(status) != gpus:
        yield Finding(Verdict.ERROR, "", f"links of {len(status)} accelerators are listed, {gpus} were expected")
    for gpu in status:
        unit = f"GPU {gpu.number}"
        if gpu.inactive:
            yield Finding(Verdict.FAIL, unit, "all its NVLink links are inactive")
            continue
        if len(gpu.links) != links:
            yield Finding(Verdict.ERROR, unit, f"{len(gpu.links)} links are listed, {links} were expected")
        down = [str(link.number) for link in gpu.links if link.speed is None]
        if down:
            yield Finding(Verdict.FAIL, unit, f"inactive links: {', '.join(down)}")
        slow = [f"{link.number} ({link.speed:g} GB/s)" for link in gpu.links if link.speed and link.speed < speed]
        slow += [f"{link.number} (0 GB/s)" for link in gpu.links if link.speed == 0]
        if slow:
            yield Finding(Verdict.FAIL, unit, f"links below {speed:g} GB/s: {', '.join(slow)}")


def _error_findings(
    errors: tuple[Tallied, ...], gpus: int, links: int, before: tuple[Tallied, ...] | None
) -> Iterator[Finding]:
    if len(errors) != gpus:
        yield Finding(Verdict.ERROR, "", f"counters of {len(errors)} accelerators are listed, {gpus} were expected")
    earlier = {(gpu.uuid, link.number): link for gpu in before or () for link in gpu.links}
    for gpu in errors:
        if gpu.inactive:
            yield Finding(Verdict.FAIL, f"GPU {gpu.number}", "all its NVLink links are inactive")
            continue
        if len(gpu.links) != links:
            yield Finding(
                Verdict.ERROR, f"GPU {gpu.number}", f"{len(gpu.links)} links are listed, {links} were expected"
            )
        for link in gpu.links:
            unit = f"GPU {gpu.number} link {link.number}"
            first = earlier.get((gpu.uuid, link.number))
            if before is not None and first is None:
                yield Finding(Verdict.ERROR, unit, "there is no earlier reading of its counters")
                continue
            yield from _link_findings(unit, link, first)


def _link_findings(unit: str, link: Counted, before: Counted | None) -> Iterator[Finding]:
    held = dict(link.counters)
    needed = _NEWER if "effective errors" in held or "symbol errors" in held else _OLDER
    silent = sorted(name for name in needed if held.get(name) is None)
    if silent:
        yield Finding(Verdict.ERROR, unit, f"it does not say: {', '.join(silent)}")
    for name, value in held.items():
        found = _BIN.fullmatch(name)
        worst = int(found.group(1)) if found else 0
        if value is None or (name not in _ZERO and worst < WORRYING_BIN):
            continue
        first = before.value(name) if before is not None else 0.0
        if first is None or value < first:
            yield Finding(Verdict.ERROR, unit, f"{name}: {first} before, {value:g} now: were the counters cleared?")
        elif value > first:
            verdict = Verdict.WARN if found and worst < REFUSED_BIN else Verdict.FAIL
            yield Finding(verdict, unit, f"{value - first:g} {name}")
    effective, symbol = held.get("effective ber"), held.get("symbol ber")
    if effective is not None and symbol is not None and symbol > effective:
        yield Finding(Verdict.ERROR, unit, f"symbol BER {symbol:g} is above effective BER {effective:g}: bad data")
    for name, rate in (("effective BER", effective), ("symbol BER", symbol)):
        if rate is not None and rate > ACCEPTED_RATE:
            yield Finding(Verdict.FAIL, unit, f"{name} {rate:g} is above {ACCEPTED_RATE:g}")
