"""A sample of the catalogue: every domain as evenly as can be, the same for the same seed, never more than a sample."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.proof.matrix import Proof
from harness.proof.record import decode, encode, weaknesses
from harness.proof.results import NOT_DRAWN, Catch, Fault, FaultResult, SeedResult
from harness.proof.sample import draw
from harness.proof.table import drawn

FAULT = Fault("n", "a.n", "link", "t", "limit", "link.up", "switch-1/swp1")
CATALOGUES = st.lists(st.sampled_from("abcdef"), max_size=30).map(
    lambda domains: tuple(dataclasses.replace(FAULT, spec=f"f-{n}", domain=one) for n, one in enumerate(domains))
)


@given(CATALOGUES, st.integers(1, 40), st.integers())
def test_a_sample_is_even_over_the_domains_and_can_be_drawn_again(
    faults: tuple[Fault, ...], number: int, seed: int
) -> None:
    found = draw(faults, number, seed)
    assert found == draw(faults, number, seed)
    assert len(found) == min(number, len(faults))
    assert list(found) == sorted(found, key=faults.index)
    there, taken = Counter(fault.domain for fault in faults), Counter(fault.domain for fault in found)
    # No domain has two more than another one that still has some left.
    left = [taken[domain] for domain in there if taken[domain] < there[domain]]
    assert max(taken.values(), default=0) <= min(left, default=len(faults)) + 1


def test_a_sample_of_nothing_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="makes no sense"):
        draw((FAULT,), 0, 1)


def sampled() -> Proof:
    """One fault caught, two that were not drawn, and healthy racks enough."""
    results = tuple(
        FaultResult(dataclasses.replace(FAULT, spec=f"f-{n}"), Catch.NOT_RUN, text=NOT_DRAWN) for n in (1, 2)
    )
    caught = FaultResult(FAULT, Catch.RIGHT, "FAIL")
    seeds = tuple(SeedResult(n, "PASS") for n in range(300))
    return Proof("rack", "m", "1", "", {}, 20.0, 1, {"links": ("s",)}, (caught, *results), seeds)


def test_a_proof_made_from_a_sample_says_so_and_proves_nothing() -> None:
    proof = sampled()
    assert proof.shortcomings == ("only a sample of the faults was run: 1 of 3",)
    assert proof.sentence.startswith("A SAMPLE of 1 out of 3 faults: 1 of 1 faults caught")
    assert decode(encode(proof)) == proof
    assert b'"sample":1' in encode(proof)
    assert weaknesses(proof, {})
    text = "\n".join(str(part) for part in drawn(proof, width=120))
    assert "UNPROVEN: only a sample" in text
    assert "2 faults that were not in the sample" in text


def test_what_was_missed_in_a_sample_is_told_as_well() -> None:
    proof = sampled()
    missed = dataclasses.replace(proof.faults[0], catch=Catch.MISSED)
    proof = dataclasses.replace(proof, faults=(missed, *proof.faults[1:]))
    assert proof.shortcomings[1] == "1 of 1 faults missed"
