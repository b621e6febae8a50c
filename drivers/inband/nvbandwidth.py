"""What nvbandwidth measured between processors and accelerators: its text and its `-j` JSON.

Recorded: text of v0.6 on GH200 (a test fixture of SuperBench whose tables were edited, but add up). Source of the
shapes: NVIDIA/nvbandwidth v0.8, output.cpp, json_output.cpp, inline_common.h, testcase.h. Bandwidths are GB/s of 10^9
octets, latencies ns; rows send or are named first, columns are accelerators; N/A is a pair that cannot be measured. A
waived test was not run; in text it has no name. Copied data that were wrong are told in one line beside the tables.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from drivers.inband import ParseError
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import number, read_object

TOOL = "nvbandwidth"
LONGEST = 4 * 2**20
CORRUPT = "Invalid value when checking the pattern"
_RUNNING = re.compile(r"Running (\w{1,120})\.")
_VALUE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?(?:[eE][+-]?[0-9]{1,3})?")
_SUM = re.compile(r"(?:SUM|&&&& PERF) (\w{1,140}) ([0-9.eE+]{1,24})(?: [+-](?:GB/s|ns))?")
_DEVICE = re.compile(r"(?:Device|Process) +[0-9]{1,5}\b.*:")
_VERSION = re.compile(r"nvbandwidth Version: (\S{1,40})")
_UNITS = {"GB/s": "(GB/s)", "ns": "(ns)"}
_LABEL = 1

Matrix = tuple[tuple[float | None, ...], ...]


class Status(StrEnum):
    """How a test ended; UNFINISHED where the output ends first."""

    PASSED = "passed"
    WAIVED = "waived"
    ERROR = "error"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Table:
    """One matrix and its sum, in `unit` (GB/s or ns); None is a pair that was not measured."""

    name: str
    unit: str
    values: Matrix
    total: float


@dataclass(frozen=True, slots=True)
class Case:
    """One test and its tables; `said` is its error."""

    name: str
    status: Status
    tables: tuple[Table, ...]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """A run: its tests, how many were waived without a name, and what kept it from going on."""

    version: str
    devices: int
    cases: tuple[Case, ...]
    waived: int
    corrupt: bool
    error: str


def parse(text: str) -> Bench:
    """A run from its text; raises ParseError where a table is cut off or does not add up."""
    lines = _lines(text)
    version = next((found.group(1) for line in lines if (found := _VERSION.fullmatch(line))), "")
    if not version:
        raise ParseError(f"{TOOL}: it does not begin with a version")
    starts = [place for place, line in enumerate(lines) if _RUNNING.fullmatch(line)]
    cases = tuple(_case(lines[start:stop]) for start, stop in pairwise([*starts, len(lines)]))
    if len({case.name for case in cases}) != len(cases):
        raise ParseError(f"{TOOL}: a test comes twice")
    head = lines[: starts[0]] if starts else lines
    broken = [line for line in lines if line.startswith(("[CUDA_", "NVML_ERROR", "ASSERT in", "ERROR"))]
    return Bench(
        version=version,
        devices=sum(1 for line in head if _DEVICE.match(line)),
        cases=cases,
        waived=sum(1 for line in lines if line.startswith("Waived:")),
        corrupt=any(CORRUPT in line for line in lines),
        error=broken[0][:300] if broken else "",
    )


def parse_json(text: str) -> Bench:
    """A run from `-j`; raises ParseError where it is cut off or a table does not add up."""
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    body = read_object(text[start:], TOOL).get("nvbandwidth")
    if not isinstance(body, dict):
        raise ParseError(f"{TOOL}: this is none of its results")
    cases, devices = body.get("testcases", []), body.get("GPU Device list")
    if not isinstance(cases, list):
        raise ParseError(f"{TOOL}: its tests are no list")
    found = _once([_json_case(each) for each in cases])
    if len({case.name for case in found}) != len(found):
        raise ParseError(f"{TOOL}: a test comes twice")
    return Bench(
        version=str(body.get("version", "")),
        devices=len(devices) if isinstance(devices, list) else 0,
        cases=found,
        waived=0,
        corrupt=CORRUPT in text,
        error=str(body.get("error", ""))[:300],
    )


def findings(bench: Bench, *, gpus: int, floors: Mapping[str, float]) -> tuple[Finding, ...]:
    """Whether each test of `floors` was run on `gpus` accelerators and no pair was below its floor (GB/s), or above it
    where the test measures a latency (ns)."""
    return tuple(_findings(bench, gpus, floors))


def _findings(bench: Bench, gpus: int, floors: Mapping[str, float]) -> Iterator[Finding]:
    if bench.corrupt:
        yield Finding(Verdict.FAIL, "", "copied data were wrong")
    if bench.error:
        yield Finding(Verdict.ERROR, "", f"the tool ended in an error: {bench.error}")
    if bench.devices != gpus:
        yield Finding(Verdict.ERROR, "", f"{bench.devices} accelerators took part, {gpus} were expected")
    cases = {case.name: case for case in bench.cases}
    for name, floor in floors.items():
        case = cases.get(name)
        if case is None:
            hint = f"; {bench.waived} tests were waived without a name" if bench.waived else ""
            yield Finding(Verdict.ERROR, name, f"it was not run{hint}")
        elif case.status is not Status.PASSED or not case.tables:
            yield Finding(Verdict.ERROR, name, f"it was not measured: {case.status} {case.said}".rstrip())
        else:
            for table in case.tables:
                yield from _table_findings(name, table, floor)
    for case in bench.cases:
        if case.name not in floors and case.status in (Status.ERROR, Status.UNFINISHED):
            yield Finding(Verdict.ERROR, case.name, f"it ended in: {case.status} {case.said}".rstrip())


def _table_findings(name: str, table: Table, floor: float) -> Iterator[Finding]:
    pairs = len(table.values) > 1 and len(table.values) == len(table.values[0])
    measured = 0
    for row, values in enumerate(table.values):
        for column, value in enumerate(values):
            unit = f"{name} {row}-{column}"
            if value is None:
                if not (pairs and row == column):
                    yield Finding(Verdict.ERROR, unit, "this pair was not measured")
                continue
            measured += 1
            if value == 0:
                yield Finding(Verdict.ERROR, unit, "nothing was moved")
            elif value > floor if table.unit == "ns" else value < floor:
                word = "at most" if table.unit == "ns" else "at least"
                yield Finding(Verdict.FAIL, unit, f"{value:g} {table.unit}, {word} {floor:g} {table.unit} needed")
    if not measured:
        yield Finding(Verdict.ERROR, name, "none of its pairs was measured")


def _lines(text: str) -> list[str]:
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    return [line.strip() for line in text.splitlines()]


def _case(lines: list[str]) -> Case:
    """One test: every description that names a unit begins a table, which ends with its sum."""
    running = _RUNNING.fullmatch(lines[0])
    name = running.group(1) if running else ""
    tables, place, finished = [], 1, True
    while place < len(lines):
        unit = next((unit for unit, mark in _UNITS.items() if lines[place].endswith(mark)), "")
        if not unit:
            place += 1
            continue
        end = next((number for number in range(place, len(lines)) if _SUM.fullmatch(lines[number])), None)
        if end is None:
            finished = False
            break
        tables.append(_table(unit, lines[place + 1 : end + 1]))
        place = end + 1
    errors = [line for line in lines if line.startswith(("Error:", "ERROR:"))]
    if errors:
        return Case(name, Status.ERROR, tuple(tables), errors[0].partition(":")[2].strip()[:300])
    return Case(name, Status.PASSED if tables and finished else Status.UNFINISHED, tuple(tables))


def _table(unit: str, lines: list[str]) -> Table:
    """A line of column names, the rows behind their names, and the sum."""
    last = _SUM.fullmatch(lines[-1])
    columns = len(lines[0].split())
    rows = [line.split() for line in lines[1:-1] if line]
    if last is None or not columns or any(len(row) != columns + _LABEL for row in rows):
        raise ParseError(f"{TOOL}: a table is garbled")
    values = tuple(tuple(_value(each) for each in row[_LABEL:]) for row in rows)
    total = _value(last.group(2))
    if total is None or not _adds_up(values, total, 0.006):
        raise ParseError(f"{TOOL}: {last.group(1)} does not add up to its sum")
    return Table(last.group(1), unit, values, total)


def _json_case(found: object) -> Case:
    name = found.get("name") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(name, str) or not name:
        raise ParseError(f"{TOOL}: a test has no name")
    said = str(found.get("error", ""))[:300]
    status = {"passed": Status.PASSED, "waived": Status.WAIVED, "running": Status.UNFINISHED}.get(
        str(found.get("status", "")).lower(), Status.ERROR
    )
    rows = found.get("bandwidth_matrix")
    if rows is None:
        return Case(name, Status.ERROR if said else status, (), said)
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise ParseError(f"{TOOL}: the table of {name} is garbled")
    values = tuple(tuple(_value(str(each)) for each in row) for row in rows)
    total = number(found, "sum", TOOL)
    tables = next((n for n in (1, 3) if len(rows) % n == 0 and _adds_up(values[-(len(rows) // n) :], total, 1e-3)), 0)
    if not rows or not tables or len({len(row) for row in values}) != 1:
        raise ParseError(f"{TOOL}: {name} does not add up to its sum")
    unit = "ns" if "latency" in name or "(ns)" in str(found.get("bandwidth_description", "")) else "GB/s"
    height = len(rows) // tables
    parts = [values[number : number + height] for number in range(0, len(rows), height)]
    sums = [*(_sum(part) for part in parts[:-1]), total]
    return Case(
        name,
        Status.ERROR if said else status,
        tuple(Table(name, unit, part, each) for part, each in zip(parts, sums, strict=True)),
        said,
    )


def _once(cases: list[Case]) -> tuple[Case, ...]:
    """v0.8 lists a test that ended in an error a second time, behind its entry as running."""
    ended = {case.name for case in cases if case.status is Status.ERROR}
    return tuple(case for case in cases if case.status is not Status.UNFINISHED or case.name not in ended)


def _value(word: str) -> float | None:
    """A number, or None for N/A."""
    if word == "N/A":
        return None
    value = float(word) if _VALUE.fullmatch(word) else math.nan
    if not math.isfinite(value):
        raise ParseError(f"{TOOL}: {word!r} is no number")
    return value


def _sum(values: Matrix) -> float:
    return math.fsum(value for row in values for value in row if value is not None)


def _adds_up(values: Matrix, total: float, rounding: float) -> bool:
    """Whether the printed values give the printed sum; each was rounded to so much, JSON's to six digits."""
    cells = sum(len(row) for row in values)
    return bool(cells) and abs(_sum(values) - total) <= rounding * (cells + 1) + 1e-5 * total
