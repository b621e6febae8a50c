"""What perftest moved: the table of `ib_write_bw` and its kin, and their `--out_json` file.

Seen: the text of 4.5 (recorded, two sides in one file); from source, linux-rdma/perftest of 2026-07, the columns and
the JSON (src/perftest_parameters.{h,c}, RESULT_FMT…, write_bw_report_to_file). `MB/sec` and `MiB/sec` are both 2^20
octets a second, `Gb/sec` is 10^9 bits a second; the JSON names no unit at all, so it is the one in which bandwidth is
message size times message rate. Latencies are microseconds. It has no verdict of its own but `--limit_bw`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import read_object

TOOL = "perftest"
LONGEST = 4 * 2**20
LONGEST_LINE = 400
_MEBIBYTES, _GIGABITS = 8 * 2**20, 1e9
_TITLE = re.compile(r"\s{5,40}(\S.{0,60}\bTest)\s*")
_DEVICE = re.compile(r"\bDevice\s{1,20}: (\S{1,64})")
_BANDWIDTH_ROW = re.compile(r"\d{1,15} \d{1,15}(?: \d{1,12}\.\d\d(?:\d{4})?){2} \d{1,12}\.\d{6}(?: \d{1,12}\.\d{2,6})*")
_LATENCY_ROW = re.compile(r"\d{1,15} \d{1,15}(?: \d{1,12}\.\d\d){7}(?: \d{1,3}\.\d\d)?")
_BANDWIDTH = re.compile(r"#bytes\s+#iterations\s+BW peak\[(MB|MiB|Gb)/sec\]\s+BW average\[\1/sec\]\s+MsgRate\[Mpps\]")
_LATENCY = re.compile(r"#bytes\s+#iterations\s+t_min\[usec\]\s+t_max\[usec\]\s+t_typical\[usec\]\s+t_avg\[usec\]")
_TROUBLE = re.compile(r"Failed status|Completion with|Couldn't|Unable to|Problems with|limit_bw|error", re.IGNORECASE)
_SLACK = 0.02
"""How far bandwidth may be from message size times rate: both are rounded as printed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message size in octets. Bandwidth in bit/s, `peak` None where it was not taken; latencies in seconds."""

    size: int
    iterations: int
    bandwidth: float | None = None
    peak: float | None = None
    messages: float | None = None
    """Messages a second."""
    latency: float | None = None
    """On average."""
    worst: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One side of one test, its rows in the order of printing; `trouble` are the lines in which it complains."""

    test: str
    device: str
    rows: tuple[Row, ...]
    trouble: tuple[str, ...] = ()


def parse(text: str) -> tuple[Run, ...]:
    """The runs in a text, or the one of an `--out_json` file; raises ParseError."""
    if text.lstrip()[:1] == "{":
        return (_document(text),)
    runs: list[Run] = []
    title, device, unit, trouble = "", "", "", list[str]()
    rows: list[Row] = []
    for line in fields.whole_lines(text, TOOL, LONGEST):
        if len(line) > LONGEST_LINE:
            raise ParseError(f"{TOOL}: a line of {len(line)} characters")
        heading = _TITLE.fullmatch(line)
        if heading:
            if title:
                runs.append(_run(title, device, rows, trouble))
            title, device, unit, trouble, rows = heading.group(1), "", "", [], []
        elif "#bytes" in line:
            unit = _columns(line)
        elif unit and (words := line.split()) and words[0].isdigit():
            rows.append(_row(words, unit))
        elif _TROUBLE.search(line):
            trouble.append(line.strip())
        device = device or (found.group(1) if (found := _DEVICE.search(line)) else "")
    if not title:
        raise ParseError(f"{TOOL}: there is no test in the output" + (f": {trouble[0]}" if trouble else ""))
    return (*runs, _run(title, device, rows, trouble))


def _run(title: str, device: str, rows: list[Row], trouble: list[str]) -> Run:
    if not rows:
        raise ParseError(f"{TOOL}: {title} has no result" + (f": {trouble[0]}" if trouble else ""))
    if len({row.size for row in rows}) != len(rows):
        raise ParseError(f"{TOOL}: {title} has two results for one message size")
    return Run(title, device, tuple(rows), tuple(trouble))


def _columns(line: str) -> str:
    """The unit of the table that begins here: a unit of bandwidth, or `usec`."""
    bandwidth = _BANDWIDTH.search(line)
    if bandwidth:
        return bandwidth.group(1)
    if _LATENCY.search(line):
        return "usec"
    raise ParseError(f"{TOOL}: a table with unknown columns: {line.strip()}")


def _row(words: list[str], unit: str) -> Row:
    shape = _LATENCY_ROW if unit == "usec" else _BANDWIDTH_ROW
    if not shape.fullmatch(" ".join(words)):
        raise ParseError(f"{TOOL}: a garbled row: {' '.join(words)}")
    size, iterations = int(words[0]), int(words[1])
    if unit == "usec":
        return _checked_latency(size, iterations, *(float(word) / 1e6 for word in (words[2], words[3], words[5])))
    scale = _GIGABITS if unit == "Gb" else _MEBIBYTES
    row = _bandwidth(size, iterations, [float(word) for word in words[2:5]], scale)
    if row is None:
        raise ParseError(f"{TOOL}: bandwidth and message rate contradict each other: {' '.join(words)}")
    return row


def _bandwidth(size: int, iterations: int, printed: list[float], scale: float) -> Row | None:
    """A row of peak, average and rate; None where bandwidth is not size times rate in this unit."""
    peak, average, rate = printed
    told, counted = average * scale, size * rate * 1e6 * 8
    rounding = 0.01 * scale + size * 8
    if abs(told - counted) > _SLACK * max(told, counted) + rounding:
        return None
    return Row(size, iterations, told, peak * scale or None, rate * 1e6)


def _checked_latency(size: int, iterations: int, least: float, worst: float, average: float) -> Row:
    if not least <= average <= worst:
        raise ParseError(f"{TOOL}: an average latency of {average} s between {least} and {worst}")
    return Row(size, iterations, latency=average, worst=worst)


def _document(text: str) -> Run:
    found = read_object(text, TOOL)
    about, result = fields.section(found, "test_info", TOOL), fields.section(found, "results", TOOL)
    if about is None or result is None:
        raise ParseError(f"{TOOL}: there is no result in the file")
    size, iterations = fields.count(result, "MsgSize", TOOL), fields.count(result, "n_iterations", TOOL)
    if size is None or iterations is None:
        raise ParseError(f"{TOOL}: the result has no message size or no iterations")
    title, device = fields.text(about, "test", TOOL).replace("_", " "), fields.text(about, "Device", TOOL)
    return Run(title, device, (_result(result, size, iterations),))


def _result(result: dict[str, object], size: int, iterations: int) -> Row:
    names = ("t_min", "t_max", "t_avg") if "t_avg" in result else ("BW_peak", "BW_average", "MsgRate")
    values = [fields.real(result, name, TOOL) for name in names]
    numbers = [value for value in values if value is not None and value >= 0]
    if len(numbers) != 3:
        raise ParseError(f"{TOOL}: the result lacks one of {', '.join(names)}")
    if "t_avg" in result:
        return _checked_latency(size, iterations, *(number / 1e6 for number in numbers))
    fitting = [row for scale in (_GIGABITS, _MEBIBYTES) if (row := _bandwidth(size, iterations, numbers, scale))]
    if len(fitting) != 1:
        raise ParseError(f"{TOOL}: bandwidth and message rate fit {len(fitting)} units")
    return fitting[0]


def findings(runs: tuple[Run, ...], *, at_least: float = 0.0, at_most: float = math.inf) -> tuple[Finding, ...]:
    """What falls short: no work, the best row below `at_least` bit/s, a row slower than `at_most` seconds."""
    found = [Finding(Verdict.ERROR, "", "there was no run")] if not runs else []
    for run in runs:
        unit = run.device or run.test
        found += [Finding(Verdict.ERROR, unit, line) for line in run.trouble]
        if any(not row.iterations or (not row.bandwidth and not row.latency) for row in run.rows):
            found.append(Finding(Verdict.ERROR, unit, f"{run.test} did no work"))
            continue
        speeds = [row.bandwidth for row in run.rows if row.bandwidth is not None]
        if at_least and not speeds:
            found.append(Finding(Verdict.ERROR, unit, f"{run.test} measured no bandwidth"))
        if speeds and max(speeds) < at_least:
            text = f"{max(speeds) / 1e9:.1f} Gbit/s, at least {at_least / 1e9:.1f} wanted"
            found.append(Finding(Verdict.FAIL, unit, text))
        slow = [row for row in run.rows if row.latency is not None and row.latency > at_most]
        found += [Finding(Verdict.FAIL, unit, f"{row.latency} s on average at {row.size} octets") for row in slow]
    return tuple(found)
