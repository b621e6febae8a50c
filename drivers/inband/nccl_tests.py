"""What a collective of nccl-tests moved, and whether the data were right: `all_reduce_perf` and its like, text or -J.

Recorded: the end of a run on 72 ranks of a GB200 NVL72. Source of the shapes: NVIDIA/nccl-tests src/common.cu and
util.cu, from 2.4 (columns without root, `error` in place of `#wrong`) to 2.19.6 (-J, per-iteration columns, time
stamps): the header names the columns. Sizes are octets, times µs, bandwidths GB/s of 10^9 octets; busbw is algbw scaled
to what the links carry. "Avg bus bandwidth" depends on the sizes swept: the largest size is what counts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import number, read_object

TOOL = "nccl-tests"
LONGEST = 4 * 2**20
LONGEST_LINE = 2048
_VALUE = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,9})?(?:[eE][+-]?[0-9]{1,3})?")
_RANK = re.compile(r"#\s+Rank\s+([0-9]{1,6})\b")
_FOOT = re.compile(r"#\s+Out of bounds values\s*: ([0-9]{1,12}) (OK|FAILED)")
_AVERAGE = re.compile(r"#\s+Avg bus bandwidth\s*: (\S{1,24})(?: (OK|FAILED))?")
_FAILURES = ("Test failure", "Test NCCL failure", "Test CUDA failure")
_TIMES = ("time", "cputime")


@dataclass(frozen=True, slots=True)
class Way:
    """One way, out of place or in place. `wrong` elements: None where they were not checked or only as a deviation."""

    time: float
    algbw: float
    busbw: float
    wrong: float | None
    checked: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One size in octets; a way is None where the tool did not run it."""

    size: int
    count: int
    kind: str
    out_of_place: Way | None
    in_place: Way | None

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways that were run."""
        return tuple(way for way in (self.out_of_place, self.in_place) if way is not None)


@dataclass(frozen=True, slots=True)
class Collective:
    """A run. `ranks`: as many as named themselves; `out_of_bounds` and `average` None where it did not come to them."""

    rows: tuple[Row, ...]
    ranks: int | None
    out_of_bounds: int | None
    average: float | None
    failed: bool
    """Whether the tool itself said that it, or its own limit, failed."""

    @property
    def largest(self) -> int:
        """The greatest size run, in octets."""
        return max(row.size for row in self.rows)

    @property
    def busbw(self) -> float | None:
        """GB/s of the slowest checked way of the largest size, over all cycles; None where none was checked."""
        size = self.largest
        ways = [way.busbw for row in self.rows if row.size == size for way in row.ways if way.checked]
        return min(ways) if ways else None


def parse(text: str) -> Collective:
    """A run from its text, whose beginning may be missing up to the header; raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    lines = [line.strip() for line in text.splitlines() if len(line) <= LONGEST_LINE]
    heads = [place for place, line in enumerate(lines) if _is_header(line)]
    feet = [place for place, line in enumerate(lines) if line.startswith("#") and "Out of bounds values" in line]
    if len(heads) != 1 or len(feet) > 1 or (feet and feet[0] < heads[0]):
        raise ParseError(f"{TOOL}: {len(heads)} tables and {len(feet)} ends of a table")
    if not any(line.startswith("#") and "(us)" in line for line in lines[heads[0] + 1 : heads[0] + 2]):
        raise ParseError(f"{TOOL}: the table has no units, or others than us")
    columns = lines[heads[0]].lstrip("#").split()
    end = feet[0] if feet else len(lines)
    rows = tuple(_row(line, columns) for line in lines[heads[0] + 1 : end] if line[:1].isdigit())
    if not rows:
        raise ParseError(f"{TOOL}: the table is empty")
    foot = _FOOT.fullmatch(lines[feet[0]]) if feet else None
    if feet and (foot is None or (int(foot.group(1)) == 0) != (foot.group(2) == "OK")):
        raise ParseError(f"{TOOL}: the end of the table is garbled")
    averages = [found for line in lines[end:] if (found := _AVERAGE.fullmatch(line))]
    named = {int(found.group(1)) for line in lines[: heads[0]] if (found := _RANK.match(line))}
    return Collective(
        rows=rows,
        ranks=max(named) + 1 if named else None,
        out_of_bounds=int(foot.group(1)) if foot else None,
        average=_value(averages[0].group(1)) if len(averages) == 1 else None,
        failed=any(found.group(2) == "FAILED" for found in averages)
        or any(word in line for line in lines for word in _FAILURES),
    )


def parse_json(text: str) -> Collective:
    """A run from the file that -J wrote; raises ParseError."""
    found = read_object(text, TOOL)
    results, config = found.get("results"), found.get("config")
    if not isinstance(results, list) or not results:
        raise ParseError(f"{TOOL}: there are no results")
    devices = config.get("devices") if isinstance(config, dict) else None
    end, average = found.get("out_of_bounds"), found.get("average_bus_bandwidth")
    beyond = None if end is None else _whole(end, "count")
    if isinstance(end, dict) and end.get("okay") is not (beyond == 0):
        raise ParseError(f"{TOOL}: out_of_bounds contradicts itself")
    return Collective(
        rows=tuple(_json_row(each) for each in results),
        ranks=len(devices) if isinstance(devices, list) else None,
        out_of_bounds=beyond,
        average=None if average is None else number(average, "bandwidth", TOOL),
        failed=(isinstance(average, dict) and average.get("okay") is False) or bool(found.get("errors")),
    )


def findings(run: Collective, *, size: int, busbw: float, ranks: int | None = None) -> tuple[Finding, ...]:
    """Whether the run was whole, right, as large as `size` octets and as fast as `busbw` GB/s, on `ranks` ranks."""
    found = []
    if run.out_of_bounds is None:
        found.append(Finding(Verdict.ERROR, "", "the run did not come to its end"))
    elif run.out_of_bounds:
        found.append(Finding(Verdict.FAIL, "", f"{run.out_of_bounds} results are out of bounds"))
    for row in run.rows:
        wrong = max((way.wrong or 0.0 for way in row.ways), default=0.0)
        if wrong:
            found.append(Finding(Verdict.FAIL, "", f"{wrong:g} wrong elements at {row.size} octets"))
        if not any(way.checked for way in row.ways):
            found.append(Finding(Verdict.ERROR, "", f"the data of {row.size} octets were not checked"))
    if run.failed:
        found.append(Finding(Verdict.ERROR, "", "the tool reports a failure of its own: read its output"))
    if ranks is not None and run.ranks != ranks:
        found.append(Finding(Verdict.ERROR, "", f"{run.ranks} ranks took part, {ranks} were expected"))
    if run.largest != size:
        found.append(Finding(Verdict.ERROR, "", f"the largest size was {run.largest} octets, {size} were asked for"))
    elif run.busbw is not None and (run.busbw < busbw or run.busbw == 0):
        found.append(Finding(Verdict.FAIL, "", f"{run.busbw:g} GB/s at {size} octets, at least {busbw:g} GB/s needed"))
    return tuple(found)


def _is_header(line: str) -> bool:
    words = line.lstrip("#").split()
    return line.startswith("#") and words[:3] == ["size", "count", "type"] and "busbw" in words


def _row(line: str, columns: list[str]) -> Row:
    """One row by its header; a time stamp at its end is two words under one name."""
    words, names = line.split(), list(columns)
    if names[-1] == "timestamp":
        names[-1:] = ["date", "clock"]
    if len(words) != len(names):
        raise ParseError(f"{TOOL}: a row of {len(words)} values under {len(names)} names")
    starts = [place for place, name in enumerate(names) if name in _TIMES]
    if len(starts) != 2 or names[:3] != ["size", "count", "type"]:
        raise ParseError(f"{TOOL}: the columns are {' '.join(names)[:200]}")
    spans = ((starts[0], starts[1]), (starts[1], len(names)))
    ways = [_way(dict(zip(names[start:stop], words[start:stop], strict=True))) for start, stop in spans]
    return Row(_integer(words[0]), _integer(words[1]), words[2], ways[0], ways[1])


def _way(found: dict[str, str]) -> Way:
    time = found.get("time", found.get("cputime", ""))
    said = found.get("#wrong", found.get("error"))
    if said is None:
        raise ParseError(f"{TOOL}: a way has no column for wrong data")
    checked = said != "N/A"
    amount = _value(said) if checked else None
    return Way(
        time=_value(time),
        algbw=_value(found.get("algbw", "")),
        busbw=_value(found.get("busbw", "")),
        wrong=amount if "#wrong" in found else None,
        checked=checked,
    )


def _value(word: str) -> float:
    value = float(word) if _VALUE.fullmatch(word) else math.nan
    if not math.isfinite(value):
        raise ParseError(f"{TOOL}: {word!r} is no number")
    return value


def _integer(word: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", word):
        raise ParseError(f"{TOOL}: {word!r} is no whole number")
    return int(word)


def _json_row(found: object) -> Row:
    if not isinstance(found, dict):
        raise ParseError(f"{TOOL}: a result is no object")
    ways = [None if found.get(name) is None else _json_way(found[name]) for name in ("out_of_place", "in_place")]
    return Row(_whole(found, "size"), _whole(found, "count"), str(found.get("type", "")), ways[0], ways[1])


def _json_way(found: Any) -> Way:
    if not isinstance(found, dict):
        raise ParseError(f"{TOOL}: a way is no object")
    checked = found.get("nwrong") is not None
    return Way(
        time=number(found, "time" if "time" in found else "cpu_time", TOOL),
        algbw=number(found, "alg_bw", TOOL),
        busbw=number(found, "bus_bw", TOOL),
        wrong=number(found, "nwrong", TOOL) if checked else None,
        checked=checked,
    )


def _whole(found: object, name: str) -> int:
    value = number(found, name, TOOL)
    if value != int(value):
        raise ParseError(f"{TOOL}: {name} is {value}")
    return int(value)
