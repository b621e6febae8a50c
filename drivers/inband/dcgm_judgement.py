"""What a DCGM diagnosis means for the acceptance of new accelerators.

Severities are NVIDIA's (dcgmlib/dcgm_errors.h): ISOLATE, TRIAGE and RESET name hardware, CONFIG a setting that kept the
test from telling, UNKNOWN nothing. MONITOR lets a machine in service run on, but a new part does not get hot, slow its
clocks or correct memory in a test. A failed test is never less than an ERROR, whatever its warnings say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from drivers.inband.dcgm import Diagnosis, Outcome, Remark, Status, Tested
from drivers.inband.finding import Finding, Verdict

MONITOR, ISOLATE, UNKNOWN, TRIAGE, CONFIG, RESET = 1, 2, 3, 4, 5, 6
THERMAL, MEMORY = 9, 10
"""Categories of errors."""
CLOCKS = frozenset({10, 12, 40, 41, 42, 43})
"""CLOCKS_EVENT_THERMAL, CLOCKS_EVENT_POWER, THERMAL_VIOLATIONS, …_TS, TEMP_VIOLATION, CLOCKS_EVENT_VIOLATION."""
_OF_THE_PROCESSORS = frozenset({"cpu_eud", "cpu eud test"})
_HARDWARE_CHECKS = ("page retirement", "row remap", "inforom")
"""Level-1 checks of DCGM 2 and 3 that look at the part, not at the software."""


def findings(diagnosis: Diagnosis, *, gpus: int, tests: Collection[str] = ()) -> tuple[Finding, ...]:
    """What was found, and what was not tested: `tests` are those that every one of `gpus` must have run, by name in any
    case; where none are given, all that the diagnosis lists."""
    if diagnosis.error:
        return (Finding(Verdict.ERROR, "", f"the diagnostic did not run: {diagnosis.error}"),)
    wanted = {name.lower() for name in tests}
    listed = {test.name.lower() for test in diagnosis.tests}
    found = [Finding(Verdict.ERROR, "", f"{name} was not run") for name in sorted(wanted - listed)]
    for test in diagnosis.tests:
        found += _test(test, gpus, needed=not wanted or test.name.lower() in wanted)
    return tuple(found)


def _test(test: Tested, gpus: int, *, needed: bool) -> Iterator[Finding]:
    for outcome in test.outcomes:
        yield from _outcome(test, outcome, needed)
    yield from (_remark(test, "", remark) for remark in test.remarks)
    if test.summary is Status.FAIL and not any(outcome.status is Status.FAIL for outcome in test.outcomes):
        yield Finding(_plain_failure(test), "", f"{test.name} failed as a whole")
    elif test.summary is Status.OTHER:
        yield Finding(Verdict.ERROR, "", f"{test.name} ended in a word that is not known")
    machine_wide = test.category.lower() == "deployment" and test.summary is None
    ran = {outcome.unit for outcome in test.outcomes if outcome.status in (Status.PASS, Status.FAIL, Status.WARN)}
    of_gpus = {unit for unit in ran if unit.upper().startswith("GPU ")}
    if not needed:
        return
    if not test.outcomes:
        yield Finding(Verdict.ERROR, "", f"{test.name} has no result")
    elif not machine_wide and test.name.lower() not in _OF_THE_PROCESSORS and len(of_gpus) != gpus:
        yield Finding(Verdict.ERROR, "", f"{test.name} ran on {len(of_gpus)} accelerators, {gpus} were expected")


def _outcome(test: Tested, outcome: Outcome, needed: bool) -> Iterator[Finding]:
    remarks = [_remark(test, outcome.unit, remark) for remark in outcome.remarks]
    yield from remarks
    grave = any(each.verdict is not Verdict.WARN for each in remarks)
    if outcome.status is Status.FAIL and not grave:
        yield Finding(_plain_failure(test), outcome.unit, f"{test.name} failed")
    elif outcome.status is Status.WARN and not remarks:
        yield Finding(Verdict.WARN, outcome.unit, f"{test.name} warns without words")
    elif outcome.status in (Status.SKIP, Status.NOT_RUN):
        verdict = Verdict.ERROR if needed else Verdict.WARN
        yield Finding(verdict, outcome.unit, f"{test.name} was not run: {outcome.status}")
    elif outcome.status is Status.OTHER:
        yield Finding(Verdict.ERROR, outcome.unit, f"{test.name} ended in a word that is not known")


def _plain_failure(test: Tested) -> Verdict:
    """A failure without a severity to judge by: of a check of the software an ERROR, of a test of the part a FAIL."""
    of_software = test.category.lower() == "deployment" or test.name.lower() == "software"
    return Verdict.ERROR if of_software and not _looks_at_the_part(test) else Verdict.FAIL


def _looks_at_the_part(test: Tested) -> bool:
    return any(word in test.name.lower() for word in _HARDWARE_CHECKS)


def _remark(test: Tested, unit: str, remark: Remark) -> Finding:
    return Finding(_verdict(remark), unit, f"{test.name}: {remark.text or 'a warning without words'}")


def _verdict(remark: Remark) -> Verdict:
    """A warning in words only is for the record: the status of its test is judged beside it."""
    if remark.severity in (ISOLATE, TRIAGE, RESET):
        return Verdict.FAIL
    if remark.severity == MONITOR:
        grave = remark.category in (THERMAL, MEMORY) or remark.error in CLOCKS
        return Verdict.FAIL if grave else Verdict.WARN
    if remark.severity in (0, None) and remark.error is None:
        return Verdict.WARN
    return Verdict.ERROR
