"""Statements of another release: the same facts in other words agree, other facts never do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.journal.reader import read_journal
from harness.observing import FinishedRun
from harness.verdict import fold
from reports.certificate import write_all
from reports.certificate.agreement import disagreements, is_of_this_release
from reports.certificate.envelope import Opened, canonical
from reports.certificate.statement import statements
from reports.certificate.verify import verify
from reports.evidence import Evidence

Maker = Callable[..., Any]


@pytest.fixture
def derived(make_run: Maker) -> dict[str, Any]:
    """The rack acceptance of a failed run."""
    run = make_run("FAIL")
    journal = read_journal(run.dir / "journal.jsonl")
    return statements(Evidence(run.dir, journal, fold(journal.entries)))[1]


def opened(statement: dict[str, Any]) -> Opened:
    payload = canonical(statement)
    return Opened(json.loads(payload), payload, ())


def test_the_same_statement_agrees(derived: dict[str, Any]) -> None:
    assert disagreements(opened(derived), derived, same_release=True) == ()
    assert disagreements(opened(derived), derived, same_release=False) == ()


def test_other_words_agree_only_between_releases(derived: dict[str, Any]) -> None:
    other = copy.deepcopy(derived)
    other["predicate"]["reasons"] = ["Too hot."]
    other["predicate"]["steps"][2]["text"] = "It was too hot."
    assert disagreements(opened(other), derived, same_release=False) == ()
    assert disagreements(opened(other), derived, same_release=True) == ("reasons", "steps")


def test_a_release_that_knew_fewer_facts_agrees(derived: dict[str, Any]) -> None:
    older = copy.deepcopy(derived)
    del older["predicate"]["waivers"]
    del older["predicate"]["steps"][0]["device"]
    assert disagreements(opened(older), derived, same_release=False) == ()


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("verdict",), "PASS"),
        (("simulation", "simulated"), False),
        (("steps", 2, "verdict"), "PASS"),
        (("steps", 2, "measurements", 0, "value"), 60.0),
        (("steps", 2, "measurements"), []),
        (("provisional",), 1),
        (("trips",), [{"interlock": "x"}]),
        (("extra",), "said, but not to be derived"),
    ],
)
def test_another_fact_never_agrees(
    derived: dict[str, Any], path: tuple[str | int, ...], value: object, same: bool
) -> None:
    other = copy.deepcopy(derived)
    inner: Any = other["predicate"]
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    assert disagreements(opened(other), derived, same_release=same) == (path[0],)


@pytest.mark.parametrize("name", ["verdict", "steps", "journal", "simulation"])
def test_what_decides_may_not_be_left_unsaid(derived: dict[str, Any], name: str) -> None:
    other = copy.deepcopy(derived)
    del other["predicate"][name]
    assert disagreements(opened(other), derived, same_release=False) == (name,)


def test_another_subject_or_form_never_agrees(derived: dict[str, Any]) -> None:
    assert disagreements(opened(derived | {"subject": []}), derived, same_release=False) == ("subject",)
    assert disagreements(opened(derived | {"_type": "other"}), derived, same_release=False) == ("its form",)


def test_a_run_of_another_release_verifies_and_says_so(make_run: Maker) -> None:
    run = make_run("PASS", release="0.0.9")
    write_all(FinishedRun(run.dir))
    found = verify(run.dir)
    assert found.ok
    assert any("another release" in remark for remark in found.remarks)
    assert not is_of_this_release(fold(run.entries))
