"""What fio moved and verified: `fio --output-format=json` (also json+, and text around the document).

Seen: 3.33, recorded and run. Sources: fio's stat.c (add_ddir_status_json), HOWTO (verify, continue_on_error). Its exit
code lies: with `--continue_on_error=verify` it is 0 while a job has error 84 (EILSEQ, the data read is not the data
written). With `--time_based --rw=write` the reading phase may never begin, so that nothing at all was verified. It
prints its complaints on standard output before the document. Units: octets, ms, octets a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import LONGEST, read_object

TOOL = "fio"
_HARDWARE = {5: "EIO", 61: "ENODATA", 71: "EPROTO", 74: "EBADMSG", 84: "EILSEQ", 110: "ETIMEDOUT", 121: "EREMOTEIO"}
"""errno (Linux asm-generic) that a failing disk, or data that came back changed, shows; others are the rig's."""
_EILSEQ = 84
_AMOUNT = re.compile(r"(\d{1,12})([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d{1,9})([smhd]?)", re.IGNORECASE)
_POWERS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_EARLY = 0.9
"""Part of the time asked for that a job must have run unless it moved all it had to."""


@dataclass(frozen=True, slots=True)
class Direction:
    """Reads, writes or trims of a job: octets, operations, octets a second, and the ms that they took."""

    octets: int
    operations: int
    rate: int
    duration: int
    short: int
    """Operations that moved less than asked."""
    dropped: int
    latency: float | None
    """Completion latency on average, ns."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `error` is its errno, `errors` how many it went on after, None where it does not count them.

    `verify` is the method asked for, empty where none; `seconds` and `size` what was asked, None where not said.
    """

    name: str
    error: int
    errors: int | None
    first_error: int | None
    verify: str
    seconds: float | None
    size: int | None
    duration: int
    """ms"""
    read: Direction
    write: Direction
    trim: Direction | None

    @property
    def octets(self) -> int:
        """Octets read and written."""
        return self.read.octets + self.write.octets


@dataclass(frozen=True, slots=True)
class Result:
    """A run: the tool's version, its jobs, and the lines around the document."""

    version: str
    jobs: tuple[Job, ...]
    remarks: tuple[str, ...]


def parse(text: str) -> Result:
    """The jobs of a run; raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    document, remarks = _document(text)
    found = read_object(document, TOOL)
    version, shared = fields.text(found, "fio version", TOOL), fields.section(found, "global options", TOOL) or {}
    jobs = fields.objects(found, "jobs", TOOL)
    if not version or not jobs:
        raise ParseError(f"{TOOL}: there are no jobs in the result")
    return Result(version, tuple(_job(job, shared) for job in jobs), remarks)


def _document(text: str) -> tuple[str, tuple[str, ...]]:
    """The JSON from the line `{` to the line `}`, and the lines around it."""
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.rstrip() == "{"), None)
    end = next((number for number, line in enumerate(lines) if line.rstrip() == "}" and start is not None), None)
    if start is None or end is None or end < start:
        raise ParseError(f"{TOOL}: there is no whole JSON document")
    around = [line.strip() for line in (*lines[:start], *lines[end + 1 :])]
    return "\n".join(lines[start : end + 1]), tuple(line for line in around if line)


def _job(job: dict[str, Any], shared: dict[str, Any]) -> Job:
    options = shared | (fields.section(job, "job options", TOOL) or {})
    reads, writes = _direction(job, "read"), _direction(job, "write")
    error, duration = fields.count(job, "error", TOOL), fields.count(job, "job_runtime", TOOL)
    if error is None or reads is None or writes is None:
        raise ParseError(f"{TOOL}: a job lacks its error, its reads or its writes")
    if duration is None:  # fio before 3.0 had the time of each direction only
        duration = max(reads.duration, writes.duration)
    verify = fields.text(options, "verify", TOOL)
    return Job(
        name=fields.text(job, "jobname", TOOL),
        error=error,
        errors=fields.count(job, "total_err", TOOL),
        first_error=fields.count(job, "first_error", TOOL),
        verify="" if verify in ("", "0", "null") else verify,
        seconds=_asked_time(fields.text(options, "runtime", TOOL)),
        size=_asked_size(fields.text(options, "size", TOOL)),
        duration=duration,
        read=reads,
        write=writes,
        trim=_direction(job, "trim"),
    )


def _direction(job: dict[str, Any], name: str) -> Direction | None:
    found = fields.section(job, name, TOOL)
    if found is None:
        return None
    octets = fields.count(found, "io_bytes", TOOL)
    operations, duration = fields.count(found, "total_ios", TOOL), fields.count(found, "runtime", TOOL)
    if octets is None or operations is None or duration is None:
        raise ParseError(f"{TOOL}: {name} lacks its octets, operations or time")
    if (octets == 0) != (operations == 0):
        raise ParseError(f"{TOOL}: {octets} octets in {operations} operations")
    latency = fields.section(found, "clat_ns", TOOL)
    return Direction(
        octets=octets,
        operations=operations,
        rate=fields.count(found, "bw_bytes", TOOL) or 0,
        duration=duration,
        short=fields.count(found, "short_ios", TOOL) or 0,
        dropped=fields.count(found, "drop_ios", TOOL) or 0,
        latency=fields.real(latency, "mean", TOOL) if operations else None,
    )


def _asked_size(word: str) -> int | None:
    """`64M`, `1GiB`; None for a percentage or anything else."""
    found = _AMOUNT.fullmatch(word)
    return int(found.group(1)) << _POWERS[found.group(2).lower()] if found else None


def _asked_time(word: str) -> float | None:
    """`30`, `30s`, `2m`; None for anything else."""
    found = _DURATION.fullmatch(word)
    return int(found.group(1)) * _SECONDS[found.group(2).lower()] if found else None


def findings(result: Result, exit_code: int | None = None) -> tuple[Finding, ...]:
    """A disk's error or changed data is FAIL; another error, no work, nothing verified, an early end is ERROR."""
    found = [each for job in result.jobs for each in _judge(job)]
    if exit_code and not found:
        found.append(Finding(Verdict.ERROR, "", f"fio ended with {exit_code}: {'; '.join(result.remarks)[:400]}"))
    return tuple(found)


def _judge(job: Job) -> list[Finding]:
    error = job.error or job.first_error or 0
    if error or job.errors:
        verdict = Verdict.FAIL if error in _HARDWARE else Verdict.ERROR
        meaning = "data read is not data written" if error == _EILSEQ else _HARDWARE.get(error, "not of the disk")
        return [Finding(verdict, job.name, f"error {error} ({meaning}), {job.errors or 1} of them")]
    if not job.octets:
        return [Finding(Verdict.ERROR, job.name, "no octet was read or written")]
    if job.verify and not job.read.octets:
        return [Finding(Verdict.ERROR, job.name, "verification was asked for and nothing was read back")]
    moved_all = job.size is not None and job.octets >= job.size
    if job.seconds is not None and job.duration < job.seconds * 1000 * _EARLY and not moved_all:
        text = f"ran {job.duration / 1000:.1f} s of {job.seconds:.0f} s and moved {job.octets} octets"
        return [Finding(Verdict.ERROR, job.name, text)]
    if job.seconds is None and job.size is not None and not moved_all:
        return [Finding(Verdict.ERROR, job.name, f"moved {job.octets} of {job.size} octets")]
    lost = job.read.dropped + job.write.dropped + job.read.short + job.write.short
    return [Finding(Verdict.WARN, job.name, f"{lost} operations were short or dropped")] if lost else []
