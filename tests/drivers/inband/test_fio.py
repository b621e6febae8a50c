"""fio: data that came back changed is a FAIL even where it ends with 0, and nothing moved is no pass."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.inband import ParseError
from drivers.inband.finding import Verdict
from drivers.inband.fio import findings, parse

Recorded = Callable[[str], str]
Mutations = Callable[[str, int, int], Iterator[str]]


def moved(octets: int, operations: int | None = None) -> dict[str, Any]:
    count = operations if operations is not None else octets // 4096
    return {
        "io_bytes": octets,
        "bw_bytes": octets,
        "runtime": 1000 if octets else 0,
        "total_ios": count,
        "short_ios": 0,
        "drop_ios": 0,
        "clat_ns": {"mean": 5.0},
    }


def document(options: dict[str, str] | None = None, **job: Any) -> str:
    whole = {
        "jobname": "soak",
        "error": 0,
        "job options": {"size": "8K", "rw": "randrw", "verify": "crc32c"} if options is None else options,
        "read": moved(8192),
        "write": moved(8192),
        "trim": moved(0),
        "job_runtime": 1000,
    } | job
    return json.dumps({"fio version": "fio-3.33", "jobs": [whole]}, indent=2) + "\n"


def verdicts(text: str, exit_code: int | None = None) -> list[Verdict]:
    return [each.verdict for each in findings(parse(text), exit_code)]


def test_a_recorded_run(recorded: Recorded) -> None:
    result = parse(recorded("fio-3.33-randrw-verify.json"))
    (job,) = result.jobs
    assert (result.version, job.name, job.error, job.verify) == ("fio-3.33", "burn", 0, "crc32c")
    assert (job.seconds, job.size, job.duration) == (3.0, 64 * 2**20, 3000)
    assert (job.read.octets, job.read.operations, job.read.rate) == (3725852672, 28426, 1241950890)
    assert (job.write.octets, job.write.operations, job.write.duration) == (1169555456, 8923, 2109)
    assert job.read.latency == 605156.988321
    assert findings(result, 0) == ()


def test_a_recorded_verification_that_failed(recorded: Recorded) -> None:
    result = parse(recorded("fio-3.33-verify-FAIL.json"))
    assert (result.jobs[0].error, result.jobs[0].octets) == (84, 1048576)
    (finding,) = findings(result, 1)
    assert finding.verdict is Verdict.FAIL
    assert "84" in finding.text


def test_a_clean_job_has_no_findings() -> None:
    assert verdicts(document(), 0) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (document(error=84), Verdict.FAIL),
        (document(error=5), Verdict.FAIL),
        (document(error=28), Verdict.ERROR),
        (document(total_err=16, first_error=84), Verdict.FAIL),
        (document(total_err=3), Verdict.ERROR),
        (document(read=moved(0), write=moved(0)), Verdict.ERROR),
        (document(read=moved(0)), Verdict.ERROR),
        (document({"size": "1M"}), Verdict.ERROR),
        (document({"size": "1M", "runtime": "60"}), Verdict.ERROR),
        (document({"runtime": "2m"}), Verdict.ERROR),
        (document(read=moved(8192) | {"short_ios": 1}), Verdict.WARN),
    ],
)
def test_what_falls_short(text: str, verdict: Verdict) -> None:
    assert verdicts(text, 0) == [verdict]


def test_an_early_end_with_all_its_work_done_is_fine() -> None:
    assert verdicts(document({"size": "8K", "runtime": "60"}), 0) == []


def test_an_exit_code_that_nothing_explains_is_an_error() -> None:
    assert verdicts(document(), 1) == [Verdict.ERROR]


def test_complaints_before_the_document_are_kept() -> None:
    result = parse("fio: pid=1, err=84/file:io_u.c:2152, error=Invalid\n" + document(error=84) + "\nRun status:\n")
    assert result.remarks == ("fio: pid=1, err=84/file:io_u.c:2152, error=Invalid", "Run status:")


def test_options_of_all_jobs_hold_for_each() -> None:
    whole = json.loads(document({}))
    whole["global options"] = {"verify": "crc32c", "runtime": "30s"}
    (job,) = parse(json.dumps(whole, indent=2)).jobs
    assert (job.verify, job.seconds) == ("crc32c", 30.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{\n}\n",
        document()[:-3],
        document(error=None),
        document(read=None),
        document(read=moved(8192, 0)),
        document(read=moved(8192) | {"io_bytes": "8192x"}),
        document(write=moved(8192) | {"total_ios": -1}),
        document().replace('"error": 0', '"error": 84, "error": 0'),
        document().replace("1000", "NaN"),
        '{\n"fio version": "fio-3.33", "jobs": []\n}\n',
    ],
)
def test_what_is_missing_or_doubtful_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_spoilt_outputs_end_in_a_result_or_a_parse_error(recorded: Recorded, mutations: Mutations) -> None:
    for name in ("fio-3.33-randrw-verify.json", "fio-3.33-verify-FAIL.json"):
        for spoilt in mutations(recorded(name), 12, 250):
            with contextlib.suppress(ParseError):
                findings(parse(spoilt), 0)


def test_no_beginning_of_a_failed_run_passes(recorded: Recorded) -> None:
    text = recorded("fio-3.33-verify-FAIL.json")
    for length in range(0, len(text) - 2, 7):
        with pytest.raises(ParseError):
            parse(text[:length])
