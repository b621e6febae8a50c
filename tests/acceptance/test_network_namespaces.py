"""The cable map against a real switch: Linux, net-snmp and lldpd, none of them ours. Pull a cable and it is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.journal.events import Measured
from harness.journal.reader import read_journal
from harness.rack.load import model_path
from tests.acceptance.namespaces import SWITCH, Rack, cabled_rack, missing
from tests.acceptance.runs import RACKPROOF, ROOT

NOTICED = 30.0
"""Wall seconds after which a run that begins must find that a cable was pulled."""
PLAN = """
import pytest

from test_plans.rack.test_30_links import test_cable_map

pytestmark = pytest.mark.stage("links")
"""
CABLES = ("switch-1/swp1", "switch-1/swp2")
KEYS = ("link.neighbour", "link.up", "link.speed")
GOOD: dict[tuple[str, str], str] = {(key, cable): "pass" for key in KEYS for cable in CABLES}


class Bench:
    """The cabled rack, with a model, a bay and a plan of one step for it."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack = rack
        self._folder = folder
        (folder / "plan").mkdir()
        (folder / "plan" / "test_links.py").write_text(PLAN, "utf-8")
        model = yaml.safe_load(model_path("bench4").read_text("utf-8"))
        model["slots"] = {
            "tray-01": {"roles": ["compute_tray"], "assembly": "compute-tray"},
            "switch-1": {"roles": ["switch"], "assembly": "switch"},
        }
        # A veth says of itself that it runs at 10 Gbit/s.
        model["cable_map"] = [
            {"a": f"tray-01/nic-{at}", "b": cable, "speed": 10} for at, cable in enumerate(sorted(CABLES))
        ]
        model |= {"power_map": [], "interlocks": {}}
        model["assemblies"]["switch"]["parts"] = []
        model["sampling"]["periods"] = {"compute_tray": 60, "switch": 60}
        (folder / "model.yaml").write_text(yaml.safe_dump(model), "utf-8")
        bay = {
            "name": "namespaces",
            "site": "test",
            "station": "test",
            "secrets": {"any": {"env": "BENCH_SECRET"}},
            "devices": {
                "switch-1": {
                    "driver": "switch",
                    "profile": "standard-switch",
                    "address": f"snmp://{SWITCH}",
                    "secrets": {"community": "any"},
                    "options": {"version": 2},
                },
                # Nothing answers there: the tray is asked nothing but by its neighbour.
                "tray-01": {
                    "driver": "bmc",
                    "address": "https://127.0.0.1:9",
                    "user": "nobody",
                    "secrets": {"password": "any"},
                },
            },
        }
        (folder / "bay.yaml").write_text(yaml.safe_dump(bay), "utf-8")

    def judge(self) -> dict[tuple[str, str], str]:
        """Run the step as `rackproof run` does, at the station: outcome by key and subject."""
        words = ["run", "--model", "model.yaml", "--bay", "bay.yaml", "--plan", "plan", "--serial", "NS-1", "--json"]
        words = [str(self._folder / word) if (self._folder / word).exists() else word for word in words]
        done = subprocess.run(
            self.rack.at_station(*RACKPROOF, *words, "--runs", str(self._folder / "runs")),
            cwd=ROOT,
            env={**os.environ, "BENCH_SECRET": "public", "XDG_DATA_HOME": str(self._folder / "data")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, done.stderr[-2000:]
        journal = read_journal(Path(json.loads(done.stdout)["run_dir"]) / "journal.jsonl")
        measured = [entry.event for entry in journal.entries if isinstance(entry.event, Measured)]
        return {(each.key, each.subject): each.judgement for each in measured}


def failed(found: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """Key and subject of what failed."""
    return {place for place, outcome in found.items() if outcome == "fail"}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """One rack for all tests here; each leaves it as it should be cabled."""
    if reason := missing():
        pytest.skip(f"{reason}; the cable map is not tried on a real LLDP neighbour")
    # Not below pytest's own folder, which only root may enter: lldpd runs as a user of its own.
    with tempfile.TemporaryDirectory(prefix="rackproof-lldp-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        with cabled_rack(folder) as rack:
            yield Bench(rack, folder)


def test_a_cabled_rack_passes_the_cable_map(bench: Bench) -> None:
    assert bench.judge() == GOOD


def test_a_pulled_cable_fails_the_cable_map_within_30_seconds(bench: Bench) -> None:
    lost = {("link.neighbour", CABLES[0]), ("link.up", CABLES[0])}
    bench.rack.pull("nic-0")
    pulled = time.monotonic()
    try:
        found, began = bench.judge(), pulled
        # net-snmp shows an interface as it was up to 15 s ago; lldpd forgets the neighbour at once. How long a run
        # itself takes is this machine's affair.
        while not lost <= failed(found) and began - pulled < NOTICED:
            began = time.monotonic()
            found = bench.judge()
    finally:
        bench.rack.plug("nic-0")
    assert lost <= failed(found)
    # The other cable is none the worse for it.
    assert {place: outcome for place, outcome in found.items() if place[1] == CABLES[1]} == {
        place: outcome for place, outcome in GOOD.items() if place[1] == CABLES[1]
    }


def test_two_exchanged_cables_fail_the_cable_map_though_both_links_are_up(bench: Bench) -> None:
    bench.rack.exchange("nic-0", "nic-1")
    changed = time.monotonic()
    wanted = GOOD | {("link.neighbour", cable): "fail" for cable in CABLES}
    try:
        found, began = bench.judge(), changed
        while found != wanted and began - changed < NOTICED:
            began = time.monotonic()
            found = bench.judge()
    finally:
        bench.rack.exchange("nic-0", "nic-1")
    assert found == wanted
