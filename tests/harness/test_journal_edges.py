"""The journal at its edges: the exact line, the exact event, and the exact place of what is wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.journal import events as e
from harness.journal.decoding import event_from_json
from harness.journal.lines import FIRST, KEYS, decode, digest, encode, is_canonical
from harness.journal.reader import CorruptJournal, Journal, read_journal

ENTRY = e.Entry(0, "w", "r", 1.5, FIRST, e.Noted("ü \udc80", "s"))
LINE = (
    '{"body":{"step":"s","text":"ü \\udc80"},"event":"Noted","mono":1.5,"prev":"' + "0" * 64 + '","rack":"r",'
    '"seq":0,"wall":"w"}'
).encode()


def noted(count: int) -> list[bytes]:
    """The lines of a sound journal of so many remarks."""
    lines: list[bytes] = []
    for seq in range(count):
        lines.append(encode(replace(ENTRY, seq=seq, previous=digest(lines[-1]) if lines else FIRST)))
    return lines


def corrupt(folder: Path, data: bytes, head: str = "") -> CorruptJournal:
    (folder / "j").write_bytes(data)
    with pytest.raises(CorruptJournal) as caught:
        read_journal(folder / "j", head=head)
    return caught.value


def sound(folder: Path, data: bytes) -> Journal:
    (folder / "j").write_bytes(data)
    return read_journal(folder / "j")


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_line_is_spelt_in_one_way() -> None:
    assert encode(ENTRY) == LINE
    assert decode(json.loads(LINE)) == ENTRY
    assert digest(LINE) == hashlib.sha256(LINE).hexdigest()
    assert FIRST == "0" * 64
    assert is_canonical(LINE, json.loads(LINE))
    assert not is_canonical(LINE + b" ", json.loads(LINE))
    assert is_canonical(b'{"a":NaN}', {"a": float("nan")}) is False


def test_what_nests_too_deep_is_not_canonical() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert is_canonical(b"", deep) is False
    while deep:  # taken apart by hand: to let go of it at once would nest as deep
        deep = deep[0]


@pytest.mark.parametrize("found", [[], "text", 1, None])
def test_a_line_is_an_object(found: object) -> None:
    with pytest.raises(ValueError, match="it is no JSON object"):
        decode(found)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_field_has_to_be_there(key: str) -> None:
    found = json.loads(LINE)
    del found[key]
    with pytest.raises(ValueError, match=f"the field '{key}' is missing"):
        decode(found)


def test_the_first_odd_field_is_named() -> None:
    with pytest.raises(ValueError, match="the field 'aaa' is unknown"):
        decode(json.loads(LINE) | {"aaa": 1, "zzz": 2})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("body", []), ("event", 1), ("prev", 1), ("rack", None), ("seq", "1"), ("seq", 1.0), ("seq", True), ("wall", 1),
        ("mono", 1), ("mono", "1.5"), ("mono", True),
    ],
)  # fmt: skip
def test_every_field_has_its_type(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"the field '{key}' has the wrong type"):
        decode(json.loads(LINE) | {key: value})


def test_an_event_that_is_no_json_is_no_line() -> None:
    with pytest.raises(ValueError, match="serializable"):
        encode(replace(ENTRY, event=e.Noted(object())))  # type: ignore[arg-type]


# --- events ----------------------------------------------------------------------------------------------------------

REMARKS = {e.Progressed, e.Noted}


def test_all_but_remarks_are_on_disk_before_anything_goes_on() -> None:
    assert {kind for kind in e.EVENTS.values() if not kind.durable} == REMARKS
    assert all(name == kind.__name__ for name, kind in e.EVENTS.items())


def test_what_an_event_leaves_out_is_empty() -> None:
    """So is what a journal of an earlier release does not hold."""
    assert e.LimitUsed("k", "W", "b", "s") == e.LimitUsed("k", "W", "b", "s", None, None, None, 0.0, None)
    assert e.StepFinished("a", "completed") == e.StepFinished("a", "completed", "", ())
    assert event_from_json("StepFinished", {"step": "a", "outcome": "error"}) == e.StepFinished("a", "error", "", ())
    assert (e.Noted("x").step, e.Fingerprinted("d", "s", "1").text) == ("", "")
    assert e.RunStarted("r", {}, "", {}, {}, False, "", "").ordered == {}


LIMIT = {"key": "k", "unit": "W", "bounds": "b", "source": "s"}
MEASURED = {
    "step": "a", "key": "k", "subject": "d", "value": 1, "unit": "W", "at": "", "quality": "good", "judgement": "pass",
}  # fmt: skip


def test_a_limit_in_a_measurement_may_leave_out_what_it_allows() -> None:
    found = event_from_json("Measured", MEASURED | {"limit": LIMIT})
    assert isinstance(found, e.Measured)
    assert found.limit == e.LimitUsed("k", "W", "b", "s")
    listed = event_from_json("Measured", MEASURED | {"limit": LIMIT | {"allowed": [1, 2]}})
    assert isinstance(listed, e.Measured)
    assert listed.limit.allowed == (1, 2)


def test_a_body_is_left_as_it_was() -> None:
    body: dict[str, Any] = {"reason": "r", "confirmed": True, "unconfirmed": ["a"]}
    assert event_from_json("MadeSafe", body) == e.MadeSafe("r", True, ("a",))
    assert body["unconfirmed"] == ["a"]


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("Guessed", {}, "unknown event 'Guessed'"),
        ("Noted", {"text": "x", "zz": 1, "aa": 2}, "Noted has no field 'aa'"),
        ("Noted", {}, "Noted is not well formed: "),
        ("Planned", {"plan": "", "plan_digest": "", "steps": 1}, "Planned is not well formed: "),
        ("Planned", {"plan": "", "plan_digest": "", "steps": [{"step": "a"}]}, "Planned is not well formed: "),
        ("Measured", MEASURED | {"limit": {}}, "Measured is not well formed: "),
        ("Inventoried", {"device": "d", "parts": [1]}, "Inventoried is not well formed: "),
        ("TakenUp", {"stands": [], "again": [{}]}, "TakenUp is not well formed: "),
        ("ProofChecked", {"reasons": []}, "ProofChecked is not well formed: "),
        ("MadeSafe", {}, "MadeSafe is not well formed: "),
    ],
)
def test_an_event_of_another_shape_is_refused(kind: str, body: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        event_from_json(kind, body)


# --- reader ----------------------------------------------------------------------------------------------------------


def test_a_journal_without_a_line_is_sound_and_empty(tmp_path: Path) -> None:
    assert sound(tmp_path, b"") == Journal((), FIRST, torn=False, size=0)
    assert sound(tmp_path, b"{") == Journal((), FIRST, torn=True, size=0)
    assert sound(tmp_path, b"{\n") == Journal((), FIRST, torn=True, size=0)


def test_what_is_wrong_is_told_with_line_and_octet(tmp_path: Path) -> None:
    one, two, three = noted(3)
    begins = len(one) + 1
    for damaged, where in (
        (b'{"body":x' + two[9:], " from its character 8 on"),
        (b"\xff" + two, " from its octet 0 on"),
        (b"[" * 100_000, ""),
        (b"1" * 5000, ""),
    ):
        error = corrupt(tmp_path, one + b"\n" + damaged + b"\n" + three + b"\n")
        assert (error.path, error.line, error.octet) == (tmp_path / "j", 2, begins)
        assert f"line 2: it is no JSON{where}. It begins at octet {begins}." in str(error)


def test_a_broken_chain_is_told_where_it_shows(tmp_path: Path) -> None:
    one, two, three = noted(3)
    altered = one.replace(b'"s"', b'"t"')
    error = corrupt(tmp_path, b"\n".join((altered, two, three)) + b"\n")
    assert (error.line, error.octet) == (2, len(one) + 1)
    assert "it does not follow the line before it" in str(error)
    error = corrupt(tmp_path, b"\n".join((one, three)) + b"\n")
    assert "its sequence number is 2, not 1: lines are missing" in str(error)


def test_a_head_that_does_not_match_names_the_last_line(tmp_path: Path) -> None:
    lines = noted(2)
    lines.append(encode(replace(ENTRY, seq=2, previous=digest(lines[1]), event=e.Noted("a longer remark than these"))))
    data = b"\n".join(lines) + b"\n"
    error = corrupt(tmp_path, data, head=digest(lines[1]))
    assert (error.line, error.octet) == (3, len(data) - len(lines[2]) - 1)
    assert f"it does not end as certified (SHA-256 {digest(lines[1])})" in str(error)
    error = corrupt(tmp_path, b"", head=digest(lines[0]))
    assert (error.line, error.octet) == (0, 0)


def test_an_error_without_a_place_begins_at_the_beginning() -> None:
    assert CorruptJournal(Path("j"), 1, "odd").octet == 0
