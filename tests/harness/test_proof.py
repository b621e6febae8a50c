"""The proof as a whole: what it amounts to, a file that cannot flatter itself, and what it holds for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DefinitionError
from harness.proof.digests import differences, digests, of_model, of_packages, remarks
from harness.proof.finding import NONE, look_for_proof
from harness.proof.ledger import Ledger, about
from harness.proof.matrix import Proof
from harness.proof.record import BadProof, decode, digest, encode, path_beside, weaknesses
from harness.proof.results import Catch, Fault, FaultResult, Found, Mark, SeedResult, read_catalogue
from harness.proof.table import drawn

FAULT = Fault("link.slow", "switch-1.swp1.link.slow=200", "links", "slow", "limit", "link.speed", "switch-1/swp1")
RUNNING = {"plan": "p", "model": "m", "limits": "l", "drivers": "d", "simulator": "s", "harness": "h", "release": "1"}


def proof_of(*catches: Catch, healthy: int = 300, alarms: int = 0) -> Proof:
    """A proof with so many faults and healthy racks."""
    faults = tuple(
        FaultResult(
            dataclasses.replace(FAULT, spec=f"f-{n}"),
            catch,
            "FAIL",
            "x",
            2.5,
            (Found("s", "k", "y"),),
            {"test_10.py::test_links": Mark.RIGHT},
        )
        for n, catch in enumerate(catches)
    )
    seeds = tuple(SeedResult(n, "FAIL" if n <= alarms else "PASS") for n in range(1, healthy + 1))
    stages = {"links": ("test_10.py::test_links",), "burn_in": ("test_20.py::test_trays",)}
    return Proof("rack", "b", "1.0", "2026-11-22T09:00:00+00:00", RUNNING, 20.0, 1, stages, faults, seeds)


RIGHT, ELSE, MISSED, NOT_RUN = Catch.RIGHT, Catch.OTHER, Catch.MISSED, Catch.NOT_RUN


@pytest.mark.parametrize(
    ("proof", "reasons"),
    [
        (proof_of(*[RIGHT] * 19, ELSE), ()),
        (proof_of(*[RIGHT] * 18, ELSE, ELSE), ("18 of 20 faults caught by their own check; wanted are 95%",)),
        (proof_of(*[RIGHT] * 39, MISSED), ("1 of 40 faults missed",)),
        (proof_of(*[RIGHT] * 39, NOT_RUN), ("1 of 40 faults not run",)),
        (proof_of(), ("no fault was put into a rack",)),
        (proof_of(RIGHT, healthy=0), ("no healthy rack was run; wanted is a rate under 1%",)),
        (
            proof_of(RIGHT, alarms=1),
            ("1 false alarms in 300 healthy racks: a rate under 1.58 % at 95% confidence; wanted is a rate under 1%",),
        ),
    ],
)
def test_what_falls_short_is_told(proof: Proof, reasons: tuple[str, ...]) -> None:
    assert proof.shortcomings == reasons


def test_a_healthy_rack_that_was_not_run_is_neither_a_pass_nor_forgotten() -> None:
    proof = proof_of(RIGHT)
    proof = dataclasses.replace(proof, healthy=(*proof.healthy, SeedResult(301, "", ("it did not begin",))))
    assert len(proof.judged) == 300
    assert proof.shortcomings == ("1 of 301 healthy racks not run",)


def test_the_file_is_the_same_for_the_same_results_and_reads_back() -> None:
    proof = proof_of(RIGHT, ELSE, MISSED, NOT_RUN, alarms=2)
    assert encode(decode(encode(proof))) == encode(proof) == encode(proof_of(RIGHT, ELSE, MISSED, NOT_RUN, alarms=2))
    assert decode(encode(proof)) == proof


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"missed":1', b'"missed":0'),
        (b'"false_alarms":2', b'"false_alarms":0'),
        (b'"catch":"missed"', b'"catch":"right"'),
        (b'"format":"rackproof-proof/1"', b'"format":"rackproof-proof/2"'),
        (b'"pace":20.0', b'"pace": 20.0'),
        (b"}\n", b"}"),
        (b"{", b"["),
    ],
)
def test_a_file_that_says_what_its_entries_do_not_is_no_proof(old: bytes, new: bytes) -> None:
    content = encode(proof_of(RIGHT, MISSED, alarms=2))
    assert old in content
    with pytest.raises(BadProof):
        decode(content.replace(old, new))


@given(st.binary(max_size=200))
def test_any_bytes_are_no_proof(content: bytes) -> None:
    with pytest.raises(BadProof):
        decode(content)


@pytest.mark.parametrize("width", [20, 40, 80, 160])
@pytest.mark.parametrize("unicode", [True, False])
def test_the_matrix_fits_every_terminal(width: int, unicode: bool) -> None:
    from rich.console import Console

    console = Console(width=width, file=None, record=True, quiet=False, force_terminal=False)
    with console.capture() as said:
        for part in drawn(proof_of(RIGHT, ELSE, MISSED, NOT_RUN, alarms=1), width=width, unicode=unicode):
            console.print(part)
    lines = said.get().splitlines()
    assert all(len(line) <= width for line in lines)
    assert unicode or said.get().isascii()
    assert "UNPROVEN" in said.get()
    assert "FALSE ALARM" in " ".join(said.get().split())


# --- what it holds for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"plan": "x"}, "the plan changed since"),
        ({"model": "x", "limits": "x"}, "the model's limits changed since"),
        ({"model": "x"}, "the model changed since"),
        ({"drivers": "x"}, "the drivers changed since"),
        ({"release": "x"}, "it was made with another release of Rackproof"),
        ({"drivers": ""}, "the drivers changed since"),
    ],
)
def test_what_changed_since_is_named(changed: dict[str, str], reason: str) -> None:
    assert weaknesses(proof_of(RIGHT), RUNNING) == ()
    assert weaknesses(proof_of(RIGHT), RUNNING | changed) == (reason,)


def test_another_simulator_or_harness_is_a_remark() -> None:
    changed = RUNNING | {"harness": "x", "simulator": "x"}
    assert differences(RUNNING, changed) == ()
    assert len(remarks(RUNNING, changed)) == 2


def test_every_digest_is_of_something() -> None:
    found = digests("p", {"name": "b", "limits": {"a": 1}})
    assert set(found) == set(RUNNING)
    assert found["drivers"] != found["simulator"] != of_packages(["no_such_package_anywhere"])
    assert of_model({"limits": {"a": 1}, "x": 1})["limits"] == of_model({"limits": {"a": 1}})["limits"]
    assert of_model({"interlocks": {"a": 1}})["limits"] != of_model({})["limits"]


MODEL = {"name": "b", "limits": {}}


def placed(tmp_path: Path, proof: Proof) -> Path:
    """A plan with a proof beside it, made for what runs now."""
    plan = tmp_path / "rack"
    plan.mkdir(exist_ok=True)
    path = path_beside(plan, "b")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode(dataclasses.replace(proof, running=digests("p", MODEL))))
    return plan


def test_a_plan_beside_its_proof_is_proven_until_something_changes(tmp_path: Path) -> None:
    plan = placed(tmp_path, proof_of(RIGHT))
    found = look_for_proof(plan, "p", MODEL)
    assert (found.checked.status, found.checked.reasons, found.checked.file) == ("PROVEN", (), "rack-b.json")
    assert found.checked.sha256 == digest(found.text.encode())
    assert found.checked.says.startswith("1 of 1 faults caught, 1 by their own check; 0 false alarms in 300 healthy")
    assert look_for_proof(plan, "q", MODEL).checked.reasons == ("the plan changed since",)
    loosened = look_for_proof(plan, "p", MODEL | {"limits": {"a": 1}}).checked
    assert (loosened.status, loosened.reasons) == ("UNPROVEN", ("the model's limits changed since",))


def test_a_proof_that_falls_short_leaves_the_plan_unproven(tmp_path: Path) -> None:
    found = look_for_proof(placed(tmp_path, proof_of(*[RIGHT] * 39, MISSED)), "p", MODEL).checked
    assert (found.status, found.reasons) == ("UNPROVEN", ("1 of 40 faults missed",))


def test_no_proof_and_one_that_cannot_be_read_leave_the_plan_unproven(tmp_path: Path) -> None:
    plan = tmp_path / "rack"
    assert look_for_proof(plan, "p", MODEL).checked.reasons == (NONE,)
    path = path_beside(plan, "b")
    path.parent.mkdir()
    path.write_bytes(b"{}")
    found = look_for_proof(plan, "p", MODEL)
    assert "cannot be read" in found.checked.reasons[0]
    assert (found.checked.status, found.checked.sha256, found.text) == ("UNPROVEN", digest(b"{}"), "")


def test_a_proof_that_was_asked_for_and_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="there is no proof"):
        look_for_proof(tmp_path / "rack", "p", MODEL, tmp_path / "none.json")


# --- the catalogue and the ledger -----------------------------------------------------------------------------------


def test_a_fault_is_run_at_its_smallest_size() -> None:
    row = {"name": "n", "example": "a.b=5", "domain": "d", "text": "t", "smallest": 2.4}
    caught = {"caught_by": {"limit": "k", "subject": "s"}}
    trip = {"caught_by": {"interlock": "i", "subject": "s"}}
    first, second, third = read_catalogue(
        [row | caught, row | trip | {"smallest": None, "example": "a.c"}, row | caught | {"smallest": 2e-6}]
    )
    assert (first.spec, first.kind, first.check) == ("a.b=2.4", "limit", "k")
    assert (second.spec, second.kind, second.check) == ("a.c", "interlock", "i")
    assert third.spec == "a.b=2e-06"


@pytest.mark.parametrize("listed", [[], {}, None, [{}], [1], [{"example": "a"}]])
def test_a_list_of_faults_that_is_none_is_refused(listed: object) -> None:
    with pytest.raises(ValueError, match=r"it lists no fault|not well formed"):
        read_catalogue(listed)


def test_an_interrupted_proof_goes_on_where_it_was(tmp_path: Path) -> None:
    proof, out = proof_of(RIGHT, NOT_RUN), tmp_path / "rack-b.json"
    ledger = Ledger(out, about(proof), resume=False)
    for fault in proof.faults:
        ledger.add(fault)
    for seed in (SeedResult(1, "PASS"), SeedResult(2, "", ("it did not begin",))):
        ledger.add(seed)
    ledger.close(finished=False)
    with ledger.path.open("ab") as file:
        file.write(b'{"healthy": {"se')
    with pytest.raises(DefinitionError, match="--resume"):
        Ledger(out, about(proof), resume=False)
    with pytest.raises(DefinitionError, match="changed since"):
        Ledger(out, about(proof) | {"seed": 9}, resume=True)
    again = Ledger(out, about(proof), resume=True)
    assert again.faults["f-0"] == proof.faults[0]
    assert again.done("f-0", 1)
    assert again.done(None, 1)
    # What the machine prevented is tried again.
    assert not again.done("f-1", 1)
    assert not again.done(None, 2)
    assert not again.done(None, 3)
    again.close(finished=True)
    assert not ledger.path.exists()


def test_seeds_are_added_to_a_proof_that_is_there(tmp_path: Path) -> None:
    proof, out = proof_of(RIGHT, healthy=2), tmp_path / "rack-b.json"
    out.write_bytes(encode(proof))
    ledger = Ledger(out, about(proof), resume=True)
    assert (list(ledger.faults), list(ledger.seeds)) == (["f-0"], [1, 2])
    ledger.close(finished=True)
    with pytest.raises(DefinitionError, match="cannot be resumed"):
        Ledger(out, about(proof) | {"running": {}}, resume=True)
    out.write_bytes(b"{}")
    with pytest.raises(DefinitionError, match="cannot be resumed"):
        Ledger(out, about(proof), resume=True)
