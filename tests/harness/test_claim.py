"""One station a rack: the second one learns who holds it since when; a silent one loses it and learns that, too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.claim import Claim, Terms, claim_rack, claims_folder, rack_key
from harness.errors import DefinitionError
from harness.rack.definition import RackDefinition, offline_definition
from harness.rack.load import load_model, model_path

HOLDER = (
    "import os, sys, time\n"
    "from pathlib import Path\n"
    "from harness.claim import Terms, claim_rack\n"
    "from harness.rack.definition import offline_definition\n"
    "from harness.rack.load import load_model, model_path\n"
    "path = model_path('bench4')\n"
    "claim_rack(offline_definition(load_model(path), 'x'), Path('bay.yaml'), 'first', Terms(lease=0.3))\n"
    "print('held', flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture(scope="module")
def definition() -> RackDefinition:
    return offline_definition(load_model(model_path("bench4")), "bench4.yaml")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "rackproof" / "claims"


@pytest.fixture
def holder(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process of this station that holds the rack."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def take(definition: RackDefinition, run: str = "run", **terms: object) -> Claim:
    return claim_rack(definition, Path("bay.yaml"), run, Terms(**{"lease": 0.3, **terms}))  # type: ignore[arg-type]


def test_a_second_run_on_this_station_is_told_who_has_the_rack(
    holder: subprocess.Popen[str], definition: RackDefinition
) -> None:
    with pytest.raises(DefinitionError, match=rf"process {holder.pid}\) holds this rack since 20.*for run first"):
        take(definition)


def test_a_killed_holder_is_followed_at_once_with_a_greater_token(
    holder: subprocess.Popen[str], definition: RackDefinition
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    claim = take(definition)
    assert claim.event().token == 2
    claim.release()
    again = take(definition)
    assert again.event().token == 3
    again.release()
    again.release()


def test_the_watchdog_of_a_killed_run_is_waited_for(
    holder: subprocess.Popen[str], definition: RackDefinition, state: Path
) -> None:
    """It has inherited the lock, while the file still names the process that is gone."""
    path = next(state.glob("*.claim"))
    held = json.loads(path.read_text())
    holder_of_lock, gone = holder, subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    holder_of_lock.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED)  # it renews its claim until it stands still
    path.write_text(json.dumps(held | {"process": gone.pid}))
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        holder_of_lock.kill()

    claim = take(definition, say=say, patience=60.0)
    claim.release()
    assert len(said) == 1
    assert "watchdog" in said[0]


def abandoned(state: Path, definition: RackDefinition, **other: object) -> Path:
    """The claim of another station, whose lock this one cannot see."""
    path = state / f"{rack_key(definition)}.claim"
    state.mkdir(parents=True, exist_ok=True)
    held = {"rack": "R", "token": 7, "station": "far", "process": 1, "run": "theirs", "since": "2026-11-23T01:00:00"}
    path.write_text(json.dumps(held | {"beat": 3, "released": False} | other))
    return path


def test_a_claim_of_another_station_that_is_renewed_is_respected(state: Path, definition: RackDefinition) -> None:
    path = abandoned(state, definition)
    with pytest.raises(DefinitionError, match=r"station far \(process 1\) holds this rack since 2026-11-23T01:00:00"):
        # It is told that the other is waited for once it has looked for the first time.
        take(definition, lease=60.0, say=lambda _text: abandoned(state, definition, beat=4))
    assert json.loads(path.read_text())["station"] == "far", "nothing was written over it"


def test_a_claim_of_another_station_that_stands_still_for_a_lease_is_over(
    state: Path, definition: RackDefinition
) -> None:
    abandoned(state, definition)
    said: list[str] = []
    claim = take(definition, say=said.append)
    assert claim.event().token == 8
    claim.release()
    assert len(said) == 1
    assert "station far" in said[0]


def test_a_released_claim_of_another_station_needs_no_waiting(state: Path, definition: RackDefinition) -> None:
    abandoned(state, definition, released=True)
    said: list[str] = []
    claim = take(definition, say=said.append, lease=600.0)
    assert (claim.event().token, said) == (8, [])
    claim.release()


def test_who_lost_the_rack_learns_it_and_leaves_the_claim_alone(state: Path, definition: RackDefinition) -> None:
    lost = threading.Event()
    why: list[str] = []
    claim = take(definition)

    def learn(text: str) -> None:
        why.append(text)
        lost.set()

    claim.lost = learn
    until = time.monotonic() + 60
    while not lost.is_set() and time.monotonic() < until:
        # It renews its claim as we do: a renewal of ours that was under way may have written over it once.
        path = abandoned(state, definition, token=99)
        lost.wait(1)
    assert lost.is_set()
    claim.release()
    assert "station far" in why[0]
    assert json.loads(path.read_text())["token"] == 99


def test_a_claim_is_renewed(state: Path, definition: RackDefinition) -> None:
    claim = take(definition)
    path = state / f"{rack_key(definition)}.claim"
    beats: set[int] = set()
    while len(beats) < 3:
        beats.add(json.loads(path.read_text())["beat"])
    claim.release()
    assert json.loads(path.read_text())["released"] is True


def test_a_bay_names_the_folder_that_its_stations_share(definition: RackDefinition, tmp_path: Path) -> None:
    shared = definition.bay.model_copy(update={"claims": "../claims"})
    assert claims_folder(
        RackDefinition(definition.model, shared, definition.unit, "", "", ""), tmp_path / "bays" / "bay.yaml"
    ) == (tmp_path / "claims")


def test_a_folder_that_cannot_be_had_is_told(
    definition: RackDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(DefinitionError, match="the rack cannot be claimed"):
        take(definition)


def test_the_claim_is_about_the_trays_and_hosts_that_are_reached(definition: RackDefinition) -> None:
    devices = dict(definition.bay.devices)
    tray = devices["tray-01"].model_copy(update={"address": "https://other"})
    moved = definition.bay.model_copy(update={"devices": devices | {"tray-01": tray}})
    cdu = devices["cdu-1"].model_copy(update={"address": "modbus+tcp://other"})
    cooled = definition.bay.model_copy(update={"devices": devices | {"cdu-1": cdu}})

    def key(bay: object) -> str:
        return rack_key(RackDefinition(definition.model, bay, definition.unit, "", "", ""))  # type: ignore[arg-type]

    assert key(moved) != rack_key(definition)
    assert key(cooled) == rack_key(definition), "a coolant unit may serve several racks"
    assert os.path.basename(key(cooled)) == key(cooled)
