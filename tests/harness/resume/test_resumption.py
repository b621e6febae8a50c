"""What may be resumed, and with what: everything else is refused with what differs, and nothing is contacted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.capabilities import Firmware, Identified, Part
from harness.clock import Clock
from harness.errors import DefinitionError, Unreachable, Unsupported
from harness.journal import events as e
from harness.journal.reader import CorruptJournal, read_journal
from harness.journal.watchdog import WATCHDOG, read_watchdog
from harness.journal.writer import JournalWriter
from harness.plan import HELD
from harness.rack.bay import Simulated
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model, model_path
from harness.resuming import fingerprints
from harness.resuming.fingerprints import fingerprint
from harness.resuming.resumption import Resumption, find_broken, resumption
from harness.resuming.taking_up import TakingUp
from harness.verdict import Verdict, fold

DRIVERS = {"tray-01": "bmc/- (silver)"}
SOFTWARE = {"rackproof": "0.1.0", "pymodbus": "3.16.1"}
RUNNING = dict.fromkeys(("plan", "limits", "model", "drivers", "release", "harness", "simulator"), "11")


@pytest.fixture(scope="module")
def definition() -> RackDefinition:
    return offline_definition(load_model(model_path("bench4")), "bench4.yaml")


def started(definition: RackDefinition) -> e.RunStarted:
    return e.RunStarted("run-1", definition.as_json(), definition.digest, SOFTWARE, DRIVERS, False, "", "s")


def proof(running: dict[str, str]) -> e.ProofChecked:
    return e.ProofChecked("UNPROVEN", (), (), "", "", "", running)


def write(run: Path, *events: e.Event) -> Path:
    run.mkdir(exist_ok=True)
    writer = JournalWriter(run / "journal.jsonl", Clock.real())
    for event in events:
        writer.append(event)
    writer.close()
    return run


def broken(tmp_path: Path, definition: RackDefinition, *events: e.Event) -> Path:
    return write(tmp_path / "run", started(definition), proof(RUNNING), *events)


def go_on(run: Path, definition: RackDefinition, **other: Any) -> Resumption:
    given: dict[str, Any] = {"running": RUNNING, "software": SOFTWARE, "drivers": DRIVERS} | other
    return resumption(find_broken(run), definition, operator="", station="here", **given)


STOP = e.StopRequested("Ctrl-C", "stopping")
TRIP = e.Tripped("leak", "cdu-1", 1, "count", "≤ 0", "rig", "it is wet", "dry it")
SEALED = e.SegmentSealed("telemetry/000001.parquet", "22", 7, "a", "b")


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((TRIP,), "an interlock tripped .leak: it is wet.*stays"),
        ((STOP, TRIP, e.RunFinished("ABORTED")), "an interlock tripped"),
        ((e.RunFinished("PASS"),), "came to its own end"),
        ((e.RunFinished("FAIL"),), "came to its own end"),
    ],
)
def test_a_run_that_ended_or_tripped_is_not_resumed(
    tmp_path: Path, definition: RackDefinition, events: Sequence[e.Event], said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        find_broken(broken(tmp_path, definition, *events))


@pytest.mark.parametrize("events", [(), (STOP,), (STOP, e.RunFinished("ABORTED")), (STOP, e.RunFinished("FAIL"))])
def test_a_run_that_was_killed_or_stopped_is(
    tmp_path: Path, definition: RackDefinition, events: Sequence[e.Event]
) -> None:
    going_on = go_on(broken(tmp_path, definition, *events), definition)
    assert going_on.breach.resumed.sitting == 2
    assert ("Ctrl-C" in going_on.breach.resumed.why) == bool(events)
    assert (going_on.changed, going_on.moved, going_on.breach.resumed.bay) == ((), (), None)


def test_what_is_no_run_or_not_sound_is_refused(tmp_path: Path, definition: RackDefinition) -> None:
    with pytest.raises(DefinitionError, match="no run directory"):
        find_broken(tmp_path)
    run = broken(tmp_path, definition, STOP)
    data = bytearray((run / "journal.jsonl").read_bytes())
    data[10] ^= 1
    (run / "journal.jsonl").write_bytes(bytes(data))
    with pytest.raises(CorruptJournal, match=r"line 1: .*octet 0"):
        find_broken(run)


def test_a_torn_line_is_left_out_and_told(tmp_path: Path, definition: RackDefinition) -> None:
    run = broken(tmp_path, definition, SEALED)
    with (run / "journal.jsonl").open("ab") as file:
        file.write(b'{"body":{"st')
    going_on = go_on(run, definition)
    assert going_on.breach.resumed.torn
    assert going_on.breach.sealed == (SEALED,)
    assert going_on.breach.broke == read_journal(run / "journal.jsonl").entries[-1].rack


def with_bay(definition: RackDefinition, **other: Any) -> RackDefinition:
    return replace(definition, bay=definition.bay.model_copy(update=other))


def moved_tray(definition: RackDefinition) -> RackDefinition:
    devices = dict(definition.bay.devices)
    devices["tray-01"] = devices["tray-01"].model_copy(update={"address": "https://10.0.0.9"})
    return with_bay(definition, devices=devices)


def test_other_addresses_are_told_and_remembered(tmp_path: Path, definition: RackDefinition) -> None:
    run, other = broken(tmp_path, definition), moved_tray(definition)
    going_on = go_on(run, other)
    assert going_on.moved == ("tray-01",)
    assert going_on.breach.resumed.bay is not None
    writer = JournalWriter(run / "journal.jsonl", Clock.real(), after=going_on.breach.journal)
    writer.append(going_on.breach.resumed)
    writer.close()
    again = go_on(run, other)
    assert (again.moved, again.breach.resumed.sitting) == ((), 3), "the bay of the last sitting counts"
    assert go_on(run, definition).moved == ("tray-01",)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"name": "bay-08"}, "bay: name: is 'bay-08', was 'offline'"),
        ({"site": "elsewhere"}, "bay: site"),
        (
            {"simulated": Simulated(pace=1, epoch=datetime(2026, 11, 23, tzinfo=UTC), started=1.0, seed=1)},
            "bay: simulated: the simulated rack of this run is gone",
        ),
    ],
)
def test_another_bay_is_refused(tmp_path: Path, definition: RackDefinition, other: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        go_on(broken(tmp_path, definition), with_bay(definition, **other))


def test_another_model_or_unit_is_refused_with_what_differs(tmp_path: Path, definition: RackDefinition) -> None:
    limits = dict(definition.model.limits)
    limits["thermal.flow"] = limits["thermal.flow"].model_copy(update={"min": 1.0})
    looser = replace(definition, model=definition.model.model_copy(update={"limits": limits}), model_digest="another")
    run = broken(tmp_path, definition)
    with pytest.raises(DefinitionError, match=r"model: limits.thermal.flow: is not the one that the run began with"):
        go_on(run, looser)
    unit = definition.unit.model_copy(update={"serial": "OTHER"})
    with pytest.raises(DefinitionError, match=r"the run is about .*OFFLINE.*, not about .*OTHER"):
        go_on(run, replace(definition, unit=unit))


@pytest.mark.parametrize("name", ["plan", "drivers", "harness", "release"])
def test_what_a_passed_step_rests_on_is_named_where_it_changed(
    tmp_path: Path, definition: RackDefinition, name: str
) -> None:
    going_on = go_on(broken(tmp_path, definition), definition, running=RUNNING | {name: "22"})
    assert len(going_on.changed) == 1
    assert name in going_on.changed[0].lower()


def test_other_software_is_named_with_its_versions(tmp_path: Path, definition: RackDefinition) -> None:
    run = broken(tmp_path, definition)
    assert go_on(run, definition, software=SOFTWARE | {"pymodbus": "3.16.2"}).changed == (
        "pymodbus is 3.16.2, was 3.16.1",
    )
    nothing_known = write(tmp_path / "old", started(definition))
    assert go_on(nothing_known, definition).changed, "what was not recorded is not known to be the same"


def test_what_the_watchdog_wrote_is_taken_once(tmp_path: Path, definition: RackDefinition) -> None:
    run = broken(tmp_path, definition)
    line = {"wall": "w", "reason": "r", "device": "h", "action": "stop loads", "confirmed": True, "text": "off"}
    (run / WATCHDOG).write_text(json.dumps(line) + "\n" + '{"wall": "w", "conf')
    acted, unread = go_on(run, definition).watchdog()
    assert acted == e.WatchdogActed("w", "r", "h", "stop loads", True, "off")
    assert (unread.confirmed, unread.text) == (
        False,
        "not confirmed, go and look: a line of watchdog.jsonl cannot be read",
    )
    assert read_watchdog(tmp_path) == ()
    (run / "journal.jsonl").unlink()
    write(run, started(definition), proof(RUNNING), acted)
    assert go_on(run, definition).watchdog() == (unread,)


def test_a_resumed_journal_that_is_cut_anywhere_is_no_pass(tmp_path: Path, definition: RackDefinition) -> None:
    going_on = go_on(broken(tmp_path, definition), definition)
    resumed = e.Entry(2, "", "", 0.0, "", going_on.breach.resumed)
    assert fold((*going_on.broken.journal.entries, resumed)).verdict is not Verdict.PASS


# --- fingerprints --------------------------------------------------------------------------------------------------


class Tray:
    """A device that tells who it is, as a test says."""

    device = "tray-01"

    def __init__(self, serial: str = "S1", *parts: str, firmware: str = "2.14", error: Exception | None = None) -> None:
        self._serial, self._parts, self._firmware, self._error = serial, parts, firmware, error

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def identify(self) -> Identified:
        if self._error is not None:
            raise self._error
        if self._serial == "SLOW":
            await asyncio.Event().wait()
        return Identified("Bench", "BC-4A", "P", self._serial, self._firmware)

    async def parts(self) -> Sequence[Part]:
        return [Part(f"nic-{n}", "nic", "", "N", serial, True, n == 0) for n, serial in enumerate(self._parts)]

    async def firmware(self) -> Sequence[Firmware]:
        raise Unsupported(self.device, "list its firmware", "it cannot")


class Mute:
    """A device with nothing to tell of itself."""

    device = "console"

    async def open(self) -> None: ...

    async def close(self) -> None: ...


def taken(device: Tray | Mute) -> e.Fingerprinted | None:
    return asyncio.run(fingerprint(device))


def test_a_fingerprint_tells_devices_parts_and_firmware_apart() -> None:
    first = taken(Tray("S1", "A", "B"))
    assert first == taken(Tray("S1", "A", "B"))
    assert first is not None
    assert (first.device, first.serial, len(first.digest)) == ("tray-01", "S1", 64)
    others = [taken(Tray("S2", "A", "B")), taken(Tray("S1", "A", "C")), taken(Tray("S1", "A", "B", firmware="3"))]
    assert len({first.digest, *(other.digest for other in others if other)}) == 4


def test_a_device_that_does_not_answer_has_no_fingerprint_and_one_that_cannot_has_none_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = taken(Tray(error=Unreachable("tray-01", "read", "no answer")))
    assert silent is not None
    assert silent.digest == ""
    assert "no answer" in silent.text
    assert taken(Mute()) is None
    monkeypatch.setattr(fingerprints, "WITHIN", 0.01)
    late = taken(Tray("SLOW"))
    assert late is not None
    assert (late.digest, "did not tell" in late.text) == ("", True)


def test_time_under_a_load_counts_only_where_nothing_has_changed(tmp_path: Path, definition: RackDefinition) -> None:
    planned = e.Planned("plan", "d", ())
    kept = (e.Kept("s", f"{HELD}burn-in", True, "880.0"), e.Kept("s", "logs", True, '{"a": ["b"]}'))
    same = e.Fingerprinted("tray-01", "S1", "d1", "")
    run = broken(tmp_path, definition, planned, same, *kept)

    def left(found: dict[str, e.Fingerprinted], **other: Any) -> set[str]:
        taking = TakingUp(go_on(run, definition, **other), {}, {}, lambda _event: None)
        taking.decide(found, DRIVERS)
        return set(taking.lasting())

    assert left({"tray-01": same}) == {f"{HELD}burn-in", "logs"}
    assert left({"tray-01": replace(same, serial="S2", digest="d2")}) == {"logs"}
    assert left({}) == {"logs"}
    assert left({"tray-01": same}, software=SOFTWARE | {"pymodbus": "3.17.0"}) == {"logs"}
