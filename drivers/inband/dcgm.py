"""What `dcgmi diag -j` tested, on which accelerators, and what it found.

Shapes: "DCGM GPU Diagnostic" of DCGM 2 and 3 (warnings are words or, since 3.3, objects; level-1 checks name no
accelerator), "DCGM Diagnostic" of DCGM 4 (recorded: 4.2.3 and 4.5.2 on GB10, exit code 226), `--iterations`, and a
runtime_error in place of results. A banner may stand before the JSON. Sources: NVIDIA/DCGM dcgmi/Diag.cpp (3.3),
dcgmlib/dcgm_errors.h (severities, categories), its diag JSON schema of 4.6. A healthy machine fails level 1 where a
setting is wrong, and a Pass may carry warnings: the verdict follows from severities, see dcgm_judgement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from drivers.inband import ParseError
from drivers.inband.strict_json import read_object

TOOL = "dcgmi diag"
LONGEST_BANNER = 4096
NAMES = ("DCGM Diagnostic", "DCGM GPU Diagnostic")
_UNSAID = ("", "<<<NOT_SUPPORTED>>>", "<<<NULL>>>", "<<<BLANK>>>", "9223372036854775794", "N/A")


class Status(StrEnum):
    """How a test ended on one accelerator. OTHER: in a word that we do not know."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"
    NOT_RUN = "not run"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning: its words, and DCGM's numbers for it, None where it gave none."""

    text: str
    error: int | None = None
    category: int | None = None
    severity: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test on one `unit`: "GPU 0", "CPU 1", or empty for the machine as a whole."""

    unit: str
    status: Status
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Tested:
    """One test; `remarks` are those of its summary that no accelerator has already."""

    category: str
    name: str
    outcomes: tuple[Outcome, ...]
    summary: Status | None
    remarks: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One run of the diagnostic. `error` is what kept it from running, else empty."""

    version: str
    driver: str
    serials: tuple[tuple[str, str], ...]
    tests: tuple[Tested, ...]
    error: str


def parse(text: str) -> tuple[Diagnosis, ...]:
    """Every iteration, one where none were asked for; raises ParseError where it is cut off or no diagnosis."""
    found = _document(text)
    if "iterations" not in found:
        return (_diagnosis(found),)
    iterations = found["iterations"]
    if not isinstance(iterations, list) or not iterations:
        raise ParseError(f"{TOOL}: there are no iterations in it")
    runs = tuple(_diagnosis(each) if isinstance(each, dict) else _unrun("it was not run") for each in iterations)
    if str(found.get("Overall Result", "")).lower() != "pass":
        said = str(found.get("Warning", "")) or "without a reason"
        runs = (*runs, _unrun(f"the iterations ended early: {said}"))
    return runs


def _unrun(error: str) -> Diagnosis:
    return Diagnosis("", "", (), (), error)


def _document(text: str) -> dict[str, Any]:
    """The JSON behind the banner: it begins with the first brace at the beginning of a line."""
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    if not 0 <= start <= LONGEST_BANNER:
        raise ParseError(f"{TOOL}: the JSON does not begin in the first {LONGEST_BANNER} characters")
    return read_object(text[start:], TOOL)


def _diagnosis(found: dict[str, Any]) -> Diagnosis:
    names = [name for name in NAMES if name in found]
    body = found[names[0]] if len(names) == 1 else None
    if not isinstance(body, dict):
        raise ParseError(f"{TOOL}: this is no diagnosis")
    metadata = found.get("metadata")
    told = {**found, **body, **(metadata if isinstance(metadata, dict) else {})}
    version = next((str(told[key]) for key in ("version", "DCGM Version", "Version") if key in told), "")
    driver = str(told.get("Driver Version Detected", ""))
    if "runtime_error" in body:
        return Diagnosis(version, driver, (), (), str(body["runtime_error"]) or "an error without a text")
    categories = body.get("test_categories")
    if not isinstance(categories, list) or not categories:
        raise ParseError(f"{TOOL}: it holds no tests")
    tests = tuple(test for category in categories for test in _tests(category))
    if not tests or len({(test.category, test.name) for test in tests}) != len(tests):
        raise ParseError(f"{TOOL}: it holds no tests, or one twice")
    return Diagnosis(version, driver, tuple(_serials(found)), tests, "")


def _serials(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Unit and serial, empty where it is not supported."""
    groups, older = found.get("entity_groups"), found.get("GPU Device Serials")
    for group in groups if isinstance(groups, list) else ():
        entities = group.get("entities") if isinstance(group, dict) else None
        for entity in entities if isinstance(entities, list) else ():
            if isinstance(entity, dict):
                serial = str(entity.get("serial_num", ""))
                unit = f"{group.get('entity_group', '')} {entity.get('entity_id', '')}".strip()
                yield unit, "" if serial in _UNSAID else serial
    for number, serial in older.items() if isinstance(older, dict) else ():
        yield f"GPU {number}", "" if str(serial) in _UNSAID else str(serial)


def _tests(category: object) -> Iterator[Tested]:
    tests = category.get("tests") if isinstance(category, dict) else None
    if not isinstance(category, dict) or not isinstance(tests, list):
        raise ParseError(f"{TOOL}: a category has no tests")
    for test in tests:
        if test is None:  # DCGM 3 leaves a gap for a check that it no longer has
            continue
        name = test.get("name") if isinstance(test, dict) else None
        results = test.get("results", []) if isinstance(test, dict) else None
        if not isinstance(name, str) or not name or not isinstance(results, list):
            raise ParseError(f"{TOOL}: a test has no name or no results")
        outcomes = tuple(outcome for result in results for outcome in _outcomes(name, result))
        units = [outcome.unit for outcome in outcomes]
        if len(set(units)) != len(units):
            raise ParseError(f"{TOOL}: {name} has two results for one unit")
        summary = test.get("test_summary")
        told = {remark for outcome in outcomes for remark in outcome.remarks}
        remarks = tuple(each for each in _remarks(summary) if each not in told) if summary is not None else ()
        status = _status(summary) if isinstance(summary, dict) else None
        yield Tested(str(category.get("category", "")), name, outcomes, status, remarks)


def _outcomes(name: str, result: object) -> Iterator[Outcome]:
    """One result; DCGM 2 lists the accelerators that share it."""
    if result is None:
        return
    if not isinstance(result, dict) or not isinstance(result.get("status"), str):
        raise ParseError(f"{TOOL}: a result of {name} has no status")
    if "entity_group" in result or "entity_id" in result:
        units = [f"{_part(result, 'entity_group')} {_part(result, 'entity_id')}"]
    elif "gpu_ids" in result:
        units = [f"GPU {each.strip()}" for each in str(result["gpu_ids"]).split(",")]
    elif "gpu_id" in result:
        units = [f"GPU {_part(result, 'gpu_id')}"]
    elif "cpu_id" in result:
        units = [f"CPU {_part(result, 'cpu_id')}"]
    else:
        units = [""]
    yield from (Outcome(unit, _status(result), tuple(_remarks(result))) for unit in units)


def _part(result: dict[str, Any], name: str) -> str:
    value = result.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or str(value) in _UNSAID:
        raise ParseError(f"{TOOL}: a result has no {name}")
    return str(value)


def _status(found: dict[str, Any]) -> Status:
    word = str(found.get("status", "")).split(" - ")[0].strip().lower().replace("_", " ")
    known = {"passed": "pass", "failed": "fail", "warning": "warn", "skipped": "skip", "notrun": "not run"}
    try:
        return Status(known.get(word, word))
    except ValueError:
        return Status.OTHER


def _remarks(found: object) -> Iterator[Remark]:
    """The warnings of a result or a summary; DCGM 3.3 calls an object's words `warnings` in its level-1 checks."""
    if not isinstance(found, dict):
        raise ParseError(f"{TOOL}: a summary is no object")
    warnings = found.get("warnings", [])
    if isinstance(warnings, str):
        warnings = [warnings]
    if not isinstance(warnings, list):
        raise ParseError(f"{TOOL}: warnings are no list")
    for each in warnings:
        if isinstance(each, str):
            yield Remark(each)
        elif isinstance(each, dict):
            words = each.get("warning", each.get("warnings", ""))
            numbers = [each.get(f"error_{name}") for name in ("id", "category", "severity")]
            whole = [value if isinstance(value, int) and not isinstance(value, bool) else None for value in numbers]
            yield Remark(str(words), *whole)
        elif each is not None:
            raise ParseError(f"{TOOL}: a warning is neither words nor an object")
