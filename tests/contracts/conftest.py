"""The witnesses of the contract suites: simulated devices, recorded ones, and with `--bay FILE` those on the bench.

A suite takes the fixture `witness` and says in `SUITE` which drivers it is about. Recorded walks are served by
net-snmp's own agent over UDP; recordings and hardware are only read, and only a simulated outlet is switched.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from harness.connection import Connection, Driver, DriverFactory, Option, Secret
from harness.rack.bay import Bay, Endpoint
from harness.rack.load import model_path
from harness.secrets import resolve
from tests.drivers.conftest import CAPTURES, SNMPD, Agents, recording

T = TypeVar("T")
PATIENCE = 30.0
"""Wall seconds for an answer of what is simulated or served here: a busy machine may stop its process for a while."""
WALKS = CAPTURES / "snmprec"


@dataclass(frozen=True)
class Recording:
    """One recorded walk: which driver and profile read it, and below which roots it is served."""

    file: str
    driver: str
    profile: str
    roots: tuple[str, ...]
    factory: str = ""
    """`module:function`, where the driver's entry point is not yet the way in."""

    @property
    def name(self) -> str:
        return self.file.partition("/")[2]


_SWITCH_ROOTS = ("1.3.6.1.2.1", "1.0.8802")
RECORDINGS = (
    Recording("pdu/snmpsimdata_apc-8932", "pdu", "apc-rpdu2", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.318")),
    Recording("pdu/raritan-pdu_px3", "pdu", "raritan-px2", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.13742")),
    Recording("pdu/sentry4_switched8i", "pdu", "servertech-sentry4", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.1718")),
    Recording("pdu/vertiv-pdu_mg02e4w1", "pdu", "vertiv-geist-v5", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.21239")),
    Recording("pdu/liebert_mph2rg", "pdu", "liebert-mph2", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.476")),
    Recording("pdu/eatonpdu_2", "pdu", "eaton-g3", ("1.3.6.1.2.1.1", "1.3.6.1.4.1.534")),
    Recording("switch/cumulus_bgp", "switch", "cumulus", (*_SWITCH_ROOTS, "1.3.6.1.4.1.40310")),
    Recording("switch/dell-sonic", "switch", "sonic", _SWITCH_ROOTS),
    Recording("switch/junos_qfx5130-32cd-evo", "switch", "juniper-qfx", (*_SWITCH_ROOTS, "1.3.6.1.4.1.2636")),
    Recording(
        "cooling/rittal-lcp_cmciii-pu-lcp",
        "cdu",
        "rittal-lcp",
        ("1.3.6.1.2.1.1", "1.3.6.1.4.1.2606"),
        "drivers.liquid_cooling:connect",
    ),
)
SIMULATED = {
    "pdu": ("pdu-a", "pdu-b"),
    "switch": ("switch-1",),
    "cdu": ("cdu-1",),
    "power_shelf": ("shelf-1",),
    "console": ("tray-01-console",),
}
SUPPLIES = "      - {kind: psu, count: 6,"
BATTERIES = "      - {kind: bbu, count: 2, manufacturer: Bench Cells, part_numbers: [BBU-A]}\n"


@dataclass(frozen=True)
class Witness:
    """One device under a contract. `kind` is `simulated`, `recorded` or `bench`."""

    name: str
    kind: str
    connect: Callable[[], Driver]
    profile: str = ""
    expected: Mapping[str, Any] = field(default_factory=dict)
    """What an independent reader made of the same recording; empty where there is none."""

    def ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """Open the device, put the question, close it again."""

        async def run() -> T:
            driver = self.connect()
            try:
                await driver.open()
                return await question(driver)
            finally:
                await driver.close()

        return asyncio.run(run())

    def needs(self, capability: type) -> None:
        """Skip a suite that this device has no capability for."""
        if not isinstance(self.connect(), capability):
            pytest.skip(f"{self.name} has no {capability.__name__}")

    def sensors(self) -> dict[str, Mapping[str, Any]]:
        """The independent reader's sensors by OID, where there are any."""
        found = self.expected.get("sensors", {}).get("discovery", {}).get("sensors", [])
        return {each["sensor_oid"].lstrip("."): each for each in found}


def _factory(driver: str, path: str = "") -> DriverFactory:
    if path:
        module, _, name = path.partition(":")
        found: DriverFactory = getattr(__import__(module, fromlist=[name]), name)
        return found
    (point,) = entry_points(group="rackproof.drivers", name=driver)
    loaded: DriverFactory = point.load()
    return loaded


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a witness: simulated devices, recordings, and the devices of `--bay FILE`."""
    if "witness" not in metafunc.fixturenames:
        return
    wanted: tuple[str, ...] = metafunc.module.SUITE
    specs: list[tuple[str, str]] = []
    bay = metafunc.config.getoption("--bay", None)
    if bay:
        devices = Bay.model_validate(yaml.safe_load(Path(bay).read_text(encoding="utf-8"))).devices
        specs = [("bench", name) for name, endpoint in devices.items() if endpoint.driver in wanted]
    else:
        specs = [("simulated", name) for driver in wanted for name in SIMULATED.get(driver, ())]
        specs += [("recorded", each.name) for each in RECORDINGS if each.driver in wanted]
    metafunc.parametrize(
        "witness", specs, indirect=True, scope="session", ids=[f"{kind}:{name}" for kind, name in specs]
    )


@pytest.fixture(scope="session")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Recording], int]]:
    """Serves a recording by net-snmp's agent, once a session; its port."""
    if SNMPD is None:
        pytest.skip("net-snmp's snmpd is not installed")
    agents = Agents(tmp_path_factory.mktemp("walks"))
    ports: dict[str, int] = {}

    def serve(what: Recording) -> int:
        if what.name not in ports:
            ports[what.name] = agents.start(recording(what.file), roots=what.roots)
        return ports[what.name]

    try:
        yield serve
    finally:
        agents.stop_all()


@pytest.fixture(scope="session")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bay file of a simulated rack that runs for the session: bench4, and two battery units on its shelf."""
    folder = tmp_path_factory.mktemp("rack")
    shipped = model_path("bench4").read_text(encoding="utf-8")
    model = folder / "bench4.yaml"
    model.write_text(shipped.replace(SUPPLIES, BATTERIES + SUPPLIES), encoding="utf-8")
    command = [sys.executable, "-m", "fixtures", str(model), "--pace", "1", "--dir", str(folder), "--until-eof"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("simulated rack ready")
            yield folder / "bay.yaml"
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.fixture(scope="session")
def witness(request: pytest.FixtureRequest) -> Witness:
    """One device of the suite."""
    kind, name = request.param
    if kind == "recorded":
        return _recorded(request, next(each for each in RECORDINGS if each.name == name))
    file = Path(request.config.getoption("--bay")) if kind == "bench" else request.getfixturevalue("rack")
    bay = Bay.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    endpoint, secrets = bay.devices[name], resolve(bay, file)
    connection = Connection(
        name,
        endpoint.address,
        profile=endpoint.profile,
        user=endpoint.user,
        secrets={purpose: secrets[secret] for purpose, secret in endpoint.secrets.items()},
        options=patient(endpoint) if kind == "simulated" else endpoint.options,
        now=lambda: datetime.now(UTC),
    )
    return Witness(name, kind, lambda: _factory(endpoint.driver)(connection), endpoint.profile)


def patient(endpoint: Endpoint) -> dict[str, Option]:
    """The options of a simulated device, with time to answer; a console has none, it is listened to."""
    return {**endpoint.options} if endpoint.driver == "console" else {**endpoint.options, "timeout": PATIENCE}


def _recorded(request: pytest.FixtureRequest, what: Recording) -> Witness:
    if not (WALKS / f"{what.file}.snmprec").exists():
        pytest.skip("recorded walks are not part of this repository")
    port = request.getfixturevalue("walks")(what)
    connection = Connection(
        what.name,
        f"snmp://127.0.0.1:{port}",
        profile=what.profile,
        secrets={"community": Secret("community", "public")},
        options={"version": 2, "timeout": PATIENCE},
        now=lambda: datetime.now(UTC),
    )
    expected = WALKS / "expected" / f"{what.name}.json"
    return Witness(
        what.name,
        "recorded",
        lambda: _factory(what.driver, what.factory)(connection),
        what.profile,
        json.loads(expected.read_text(encoding="utf-8")) if expected.exists() else {},
    )
