"""Intake: trays over real TLS by our own driver, and parts, labels and outlets that are not where they should be."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from drivers.bmc import connect
from drivers.pdu import connect as connect_pdu
from fixtures import clock
from fixtures.servers.serving import Serving, SnmpAccess
from fixtures.views.pdu import Delays, serve_pdu
from fixtures.world import RackWorld
from harness.capabilities import LeakState, Outlet, Part
from harness.connection import Connection, Driver, Secret
from harness.errors import Unreachable
from harness.loop import RackLoop
from harness.rack.load import load_model, model_path
from harness.verdict import RunSummary, Verdict
from tests.drivers.redfish_peer import Certificate, certificate
from tests.drivers.test_bmc import CHASSIS, MANAGER, NOW, Service, Tree, bench_tray
from tests.failopen.bench import Bench, Tiny

CRITICAL = {"event_log.critical": {"unit": "count", "max": 0, "source": "test"}}
LEAK = {"leak.state": {"unit": "text", "equals": LeakState.DRY.value, "source": "test"}}
ON = {"power.outlet.on": {"unit": "bool", "equals": True, "source": "test"}}
PARTS = {
    "parts.healthy": {"unit": "bool", "equals": True, "source": "test"},
    "parts.count": {"unit": "count", "by_definition": True, "source": "test"},
    "parts.part_number": {"unit": "text", "by_definition": True, "source": "test"},
    "parts.manufacturer": {"unit": "text", "by_definition": True, "source": "test"},
    "identity.serial.unique": {"unit": "bool", "equals": True, "source": "test"},
}
ENTRIES = f"{MANAGER}/LogServices/Log/Entries"
DETECTORS = f"{CHASSIS}/ThermalSubsystem/LeakDetection/LeakDetectors"
PDUS = {"shelf-1": ["power_shelf"], "pdu-a": ["pdu"], "pdu-b": ["pdu"]}
FEEDS = [{"outlet": "pdu-a/1", "feeds": "shelf-1/psu-1"}, {"outlet": "pdu-b/1", "feeds": "shelf-1/psu-2"}]
FEED = [{"outlet": "pdu-a/1", "feeds": "shelf-1/psu-1"}, {"outlet": "pdu-a/2", "feeds": "shelf-1/psu-2"}]


@contextmanager
def bmc(shown: Certificate, tree: Tree) -> Iterator[tuple[Service, Callable[..., Driver]]]:
    """A Redfish service of this tree, and how our driver for it is made, given the fingerprint to trust."""
    loop, service = RackLoop(), Service(tree.get)

    async def start() -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", service.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.pem)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        return runner

    runner = loop.run(start())

    def driver(fingerprint: str = shown.fingerprint) -> Driver:
        return connect(
            Connection(
                "tray-01",
                f"https://127.0.0.1:{runner.addresses[0][1]}",
                user="admin",
                secrets={"password": Secret("bmc", "battery")},
                options={"fingerprint": fingerprint} if fingerprint else {},
                now=lambda: NOW,
            )
        )

    try:
        yield service, driver
    finally:
        loop.run(runner.cleanup())
        loop.close()


@pytest.fixture
def service(tmp_path: Path) -> Callable[[Tree], AbstractContextManager[tuple[Service, Callable[..., Driver]]]]:
    """A Redfish service with a certificate of its own."""
    shown = certificate(tmp_path)
    return lambda tree: bmc(shown, tree)


def tray(*messages: dict[str, Any]) -> Tree:
    """A tray whose event log holds these entries."""
    dated = {"Created": "2026-11-02T10:00:00Z"}
    members = [{"@odata.id": f"{ENTRIES}/{n}", "Id": str(n)} | dated | said for n, said in enumerate(messages)]
    return bench_tray() | {ENTRIES: {"@odata.id": ENTRIES, "Members": members}}


def leaks(bench: Bench, driver: Driver) -> RunSummary:
    rack = bench.rack(LEAK, {"tray-01": ["compute_tray"]})
    return bench.run(rack, bench.shipped("test_10_intake", "test_leak_detectors"), driver)


def logs(bench: Bench, driver: Driver) -> RunSummary:
    rack = bench.rack(CRITICAL, {"tray-01": ["compute_tray"]})
    return bench.run(rack, bench.shipped("test_10_intake", "test_event_logs"), driver)


@pytest.mark.peer(
    "gcm",
    '"Upper Critical", "Leak detected", "Uncorrectable ECC", "Drive Fault", "PSU Failure detected" in the log: OK',
    "executed",
)
def test_an_event_log_with_grave_entries(bench: Bench, service: Any) -> None:
    """FAIL: the severity counts, not a list of words; an entry without one is critical."""
    with service(tray({"Severity": "OK", "Message": "The system was powered on."})) as (_, driver):
        bench.passes(logs(bench, driver()))
    for message in (
        "Upper Critical going high",
        "Leak detected",
        "Uncorrectable ECC",
        "Drive Fault",
        "PSU Failure detected",
    ):
        for said in ({"Severity": "Critical"}, {}, {"Severity": "CRIT"}):
            with service(tray(said | {"Message": message})) as (_, driver):
                bench.ends(logs(bench, driver()), Verdict.FAIL, "event_log.critical is 1")


@pytest.mark.peer("gcm", "beyond 40 lines the check clears the event log: the evidence is gone", "read")
def test_a_long_event_log_is_left_as_it_is(bench: Bench, service: Any) -> None:
    """FAIL: the log is read whole, kept with the run, and nothing is written to the device."""
    with service(tray({"Severity": "OK", "Message": "fine"})) as (_, driver):
        bench.passes(logs(bench, driver()))
    many = [{"Severity": "OK", "Message": "fine"}] * 60 + [{"Severity": "Critical", "Message": "Leak detected"}]
    with service(tray(*many)) as (asked, driver):
        bench.ends(logs(bench, driver()), Verdict.FAIL, "event_log.critical is 1")
    assert not [path for path in asked.requests if "Clear" in path or "Actions" in path]
    kept = (bench.run_dir / "attachments" / "tray-01-log-intake.txt").read_text("utf-8")
    assert len(kept.splitlines()) == 61


@pytest.mark.peer(
    "DMTF redfish 3.4.2, requests",
    "without a CA file nothing is verified; REQUESTS_CA_BUNDLE stands above what the program asked for",
    "executed",
)
def test_a_service_that_is_not_the_one_that_was_pinned(
    bench: Bench, service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INCONCLUSIVE: another certificate is another device, and nothing is said to it."""
    with service(tray({"Severity": "OK", "Message": "fine"})) as (asked, driver):
        bench.passes(logs(bench, driver()))
        asked.requests.clear()
        for fingerprint in ("0" * 64, ""):
            bench.ends(logs(bench, driver(fingerprint)), Verdict.INCONCLUSIVE, "tray-01")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "bmc.pem"))
        bench.ends(logs(bench, driver("0" * 64)), Verdict.INCONCLUSIVE, "tray-01")
        assert asked.requests == []


@pytest.mark.peer("NVIDIA Infra Controller", "a leak detector that is gone leaks no more", "read")
def test_a_leak_detector_that_says_nothing(bench: Bench, service: Any) -> None:
    """FAIL: a detector that is unavailable, disabled or not there is not dry, one by one, whatever the roll-up says."""
    with service(bench_tray()) as (_, driver):
        bench.passes(leaks(bench, driver()))
    changes: list[dict[str, Any]] = [
        {"DetectorState": "Unavailable"}, {"DetectorState": None}, {"Enabled": False},
        {"Status": {"State": "Absent"}}, {"DetectorState": "Critical"}, {"Status": {"Health": "Critical"}},
    ]  # fmt: skip
    for change in changes:
        tree = bench_tray()
        tree[f"{DETECTORS}/L2"] |= change
        with service(tree) as (_, driver):
            bench.ends(leaks(bench, driver()), Verdict.FAIL, "leak.state is")


@pytest.mark.peer("node-scraper 1.2.0", "a check of every member passes over no members", "executed")
def test_a_collection_without_members(bench: Bench, service: Any) -> None:
    """INCONCLUSIVE: a tray that lists no detector has not shown that it is dry."""
    with service(bench_tray()) as (_, driver):
        bench.passes(leaks(bench, driver()))
    tree = bench_tray()
    tree[DETECTORS] |= {"Members": []}
    with service(tree) as (_, driver):
        bench.ends(leaks(bench, driver()), Verdict.INCONCLUSIVE, "leak.state could not be judged")


def part(name: str, **said: Any) -> Part:
    sound: dict[str, Any] = {"kind": "accelerator", "manufacturer": "Bench", "part_number": "P", "serial": f"S-{name}"}
    return Part(**(sound | {"name": name, "present": True, "healthy": True} | said))


@pytest.mark.peer(
    "NVIDIA Infra Controller, ROCm k8s-device-plugin #195",
    "trays without labels are skipped in silence; what is missing is healthy",
    "read; issue",
)
def test_a_part_that_is_missing_or_has_no_place(bench: Bench) -> None:
    """FAIL or INCONCLUSIVE: each place of the BOM is asked for; what is not there is not well, what is mute unknown."""
    rack = bench.rack(PARTS, {"tray-01": ["compute_tray"]})
    plan = bench.shipped("test_10_intake", "test_parts")
    first = part("accelerator-0")
    bench.passes(bench.run(rack, plan, Tiny("tray-01", parts=[first, part("accelerator-1")])))
    for second in (part(""), part("accelerator-1", present=False), part("accelerator-01"), first):
        bench.ends(bench.run(rack, plan, Tiny("tray-01", parts=[first, second])), Verdict.FAIL, "tray-01")
        assert ("parts.healthy", "tray-01/accelerator-1", False) in {
            (m.key, m.subject, m.value) for m in bench.measured()
        }
    silent = bench.run(rack, plan, Tiny("tray-01", parts=[first, part("accelerator-1", healthy=None)]))
    bench.ends(silent, Verdict.INCONCLUSIVE, "tray-01/accelerator-1: parts.healthy could not be judged")


@pytest.mark.peer(
    "our own list",
    "one part is read twice, and stands for the one that is not there",
    "–",
)
def test_one_part_under_two_names(bench: Bench) -> None:
    """FAIL: no serial occurs twice in a rack."""
    rack = bench.rack(PARTS, {"tray-01": ["compute_tray"]})
    plan = bench.shipped("test_10_intake", "test_parts")
    first = part("accelerator-0")
    bench.passes(bench.run(rack, plan, Tiny("tray-01", parts=[first, part("accelerator-1")])))
    twin = part("accelerator-1", serial=first.serial)
    bench.ends(
        bench.run(rack, plan, Tiny("tray-01", parts=[first, twin])), Verdict.FAIL, "identity.serial.unique is False"
    )


@pytest.mark.peer(
    "sonic-mgmt #24849", "a PSU whose PDU does not answer is dropped from the list: `power off` leaves it fed", "read"
)
def test_a_pdu_that_does_not_answer(bench: Bench) -> None:
    """INCONCLUSIVE: every cord of the power map is asked for, and the PDU that was silent is named."""
    rack = bench.rack(ON, PDUS, power_map=FEEDS)
    plan = bench.shipped("test_20_power", "test_outlets_are_on")
    fed = [Tiny(name, outlets=[Outlet("1", True, None, None)], switch=None) for name in ("pdu-a", "pdu-b")]
    bench.passes(bench.run(rack, plan, *fed))
    mute = Tiny("pdu-b", outlets=Unreachable("pdu-b", "read its outlets", "no answer"), switch=None)
    bench.ends(bench.run(rack, plan, fed[0], mute), Verdict.INCONCLUSIVE, "pdu-b: read its outlets: no answer")
    assert [measured.value for measured in bench.measured()] == [True, None]


@pytest.mark.peer("labgrid 26.0", "what a PDU answers to a SET is thrown away, and no outlet is read back", "read")
def test_an_outlet_that_obeys_in_words_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """INCONCLUSIVE: an outlet is switched when it reads back so, and the PDU that lied is named."""
    safe = {"cool_below": 50, "cooling_time": 2, "action_time": 30}
    rack = bench.rack(ON, {"pdu-a": ["pdu"], "shelf-1": ["power_shelf"]}, power_map=FEED, make_safe=safe)
    plan = bench.step(SWITCH, '@pytest.mark.measures("power.outlet.on", per="feed")', "rack, measure")
    for reaction in (0.0, 3600.0):
        with rack_pdu(reaction) as driver, monkeypatch.context() as patched:
            if reaction:
                # The driver waits ten seconds for a relay; where it waits in vain, its clock runs faster.
                patched.setattr("drivers.pdu.time", SimpleNamespace(monotonic=lambda: 20 * time.monotonic()))
            found = bench.run(rack, plan, driver)
        if reaction:
            bench.ends(found, Verdict.INCONCLUSIVE, "pdu-a: switch outlet 1")
        else:
            bench.passes(found)


async def end(serving: Serving) -> None:
    await serving.close()


SWITCH = """
async with rack.without(["pdu-a/1"]):
    pass
for outlet in ("pdu-a/1", "pdu-a/2"):
    measure("power.outlet.on", True, outlet)
"""


@contextmanager
def rack_pdu(reaction: float) -> Iterator[Driver]:
    """A simulated rack PDU whose relays act so many wall seconds after it confirmed, and our driver for it."""
    loop = RackLoop()
    agent = SnmpAccess(2, community="bench")
    world = RackWorld(load_model(model_path("bench4")), clock.start(1.0))

    async def serve() -> Serving:
        return await serve_pdu(world, "pdu-a", agent=agent, delays=Delays(reaction=reaction))

    serving = loop.run(serve())
    try:
        yield connect_pdu(
            Connection(
                "pdu-a",
                serving.address,
                profile="apc-rpdu2",
                secrets={"community": Secret("snmp", "bench")},
                options={"version": 2, "timeout": 30.0},
                now=lambda: NOW,
            )
        )
    finally:
        loop.run(end(serving))
        loop.close()
