"""Probing: one secret once, what is missing is said, and a bay file keeps what people wrote into it."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import cli, probing
from harness.capabilities import Identified
from harness.connection import Candidate, Connection, Driver
from harness.errors import DefinitionError, Misbehaved, Refused
from harness.probing import NOTHING_FITS, Found, Target, described, probe
from harness.quantities import Channel, Quality, Reading, Sample, Unit
from harness.rack.bay import Endpoint, SecretSource
from harness.rack.entry import add_endpoints
from harness.rack.load import load_bay
from harness.sensors import Sensor, Thresholds

AT = datetime(2026, 11, 22, tzinfo=UTC)
BAY = """\
# The third one from the door.
name: bay-07
site: here
station: one
devices:
    pdu-1:   # with the short cord
        driver: pdu
        address: snmp://10.0.4.40
"""


class Device:
    """A device that opens, or does not, and measures what it is told to."""

    def __init__(self, name: str, values: Sequence[Reading] = (), failure: Exception | None = None) -> None:
        self.device = name
        self.polling_floor = 1.0
        self.values = values
        self.failure = failure
        self.opened = self.closed = 0

    async def open(self) -> None:
        self.opened += 1
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        self.closed += 1

    async def identify(self) -> Identified:
        return Identified("maker", "model", "part", "serial", "1.0")

    def channels(self) -> Sequence[Channel]:
        return [Channel(self.device, f"quantity.n{number}", each.unit) for number, each in enumerate(self.values)]

    async def sample(self) -> Sequence[Sample]:
        return [Sample(*pair) for pair in zip(self.channels(), self.values, strict=True)]


@pytest.fixture
def probe_one(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """Probe one address for which these drivers fit, in this order."""

    def run(*devices: Device) -> Found:
        async def ask() -> Sequence[Candidate]:
            return [Candidate(str(number), "") for number in range(len(devices))]

        def recogniser(connection: Connection) -> Callable[[], Awaitable[Sequence[Candidate]]]:
            return ask

        def build_driver(name: str, connection: Connection) -> Driver:
            return devices[int(name)]

        monkeypatch.setattr(probing, "recogniser", recogniser)
        monkeypatch.setattr(probing, "build_driver", build_driver)
        (found,) = probe([Target(Connection("a", "any://a", now=lambda: AT))])
        return found

    return run


def test_a_refused_secret_is_tried_once_and_with_no_second_driver(probe_one: Callable[..., Found]) -> None:
    first, second = Device("a", failure=Refused("a", "log in", "no")), Device("a")
    found = probe_one(first, second)
    assert (first.opened, first.closed, second.opened) == (1, 1, 0)
    assert found.problems == ("a: log in: no",)
    assert not found.driver


def test_a_driver_that_does_not_fit_gives_way_to_the_next(probe_one: Callable[..., Found]) -> None:
    found = probe_one(Device("a", failure=Misbehaved("a", "recognise it", "another")), Device("a"))
    assert (found.driver, found.problems, found.tier) == ("1", (), "unrated")
    assert found.capabilities == ("Identity", "Telemetry")


def test_what_fits_as_well_is_named(probe_one: Callable[..., Found]) -> None:
    assert probe_one(Device("a"), Device("a"), Device("a")).alternatives == ("1/-", "2/-")


def test_a_driver_that_was_named_is_held_against_what_the_device_says(
    probe_one: Callable[..., Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    probe_one(Device("a"), Device("a"))
    (found,) = probe([Target(Connection("a", "any://a", now=lambda: AT), "1")])
    assert (found.driver, found.problems) == ("1", ())
    named = Device("a")
    monkeypatch.setattr(probing, "build_driver", lambda name, connection: named)
    (found,) = probe([Target(Connection("a", "any://a", now=lambda: AT), "9")])
    assert (found.driver, named.opened, named.closed) == ("9", 1, 1)
    assert found.problems == (
        "a: it is to be a 9, and calls itself a 0 or 1. Make sure that the address is the right one",
    )


def test_a_refusal_to_say_what_it_is_ends_it_also_for_a_driver_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> Sequence[Candidate]:
        raise Refused("a", "ask", "no")

    named = Device("a")
    monkeypatch.setattr(probing, "recogniser", lambda connection: ask)
    monkeypatch.setattr(probing, "build_driver", lambda name, connection: named)
    (found,) = probe([Target(Connection("a", "any://a", now=lambda: AT), "9")])
    assert (found.problems, named.opened) == (("a: ask: no",), 0)


def test_sensors_are_readings_too_and_an_unhealthy_one_is_a_problem(probe_one: Callable[..., Found]) -> None:
    class Watched(Device):
        async def sensors(self) -> Sequence[Sensor]:
            gone = Reading(0.0, Unit.CELSIUS, AT, Quality.ABSENT)
            return [
                Sensor("bay 2", "Temperature", "", gone, False, False, Thresholds()),
                Sensor("inlet", "Temperature", "", Reading(22.5, Unit.CELSIUS, AT), True, True, Thresholds()),
                Sensor("outlet", "Temperature", "", Reading(90.0, Unit.CELSIUS, AT), True, False, Thresholds()),
            ]

    found = probe_one(Watched("a", [Reading(1.5, Unit.WATT, AT)]))
    assert "Sensors" in found.capabilities
    rows = described(found)["readings"]
    assert isinstance(rows, list)
    assert [(each["name"], each["value"], each["quality"]) for each in rows] == [
        ("quantity.n0", 1.5, "good"),
        ("sensor[bay 2]", None, "absent"),
        ("sensor[inlet]", 22.5, "good"),
        ("sensor[outlet]", 90.0, "good"),
    ]
    assert found.problems == ("a: it calls 1 of 3 sensors unhealthy: outlet. Look at these parts",)


def test_what_nothing_fits_is_a_problem(probe_one: Callable[..., Found]) -> None:
    assert probe_one().problems == (f"a: {NOTHING_FITS}",)


def test_a_value_that_cannot_be_judged_is_null_and_a_problem_but_an_absent_part_is_none(
    probe_one: Callable[..., Found],
) -> None:
    good = Reading(1.5, Unit.WATT, AT)
    absent = Reading(0.0, Unit.WATT, AT, Quality.ABSENT)
    found = probe_one(Device("a", [good, absent, Reading(math.nan, Unit.WATT, AT)]))
    readings = described(found)["readings"]
    assert isinstance(readings, list)
    assert [each["value"] for each in readings] == [1.5, None, None]
    assert [each["quality"] for each in readings] == ["good", "absent", "bad"]
    assert readings[0] == {"name": "quantity.n0", "value": 1.5, "unit": "W", "at": AT.isoformat(), "quality": "good"}
    json.dumps(readings, allow_nan=False)
    assert found.problems == ("a: 1 of 3 channels are bad or stale: quantity.n2. Look at these sensors",)


def test_an_entry_is_added_and_what_people_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "bay.yaml"
    path.write_text(BAY, "utf-8")
    entries = [
        Endpoint(driver="pdu", address="snmp://10.0.4.40"),
        Endpoint(driver="pdu", address="snmp://10.0.4.41", secrets={"community": "pdu"}, options={"version": 2}),
    ]
    assert add_endpoints(path, entries, {"pdu": SecretSource(env="PDU")}) == ["pdu-2"]
    assert set(BAY.splitlines()) <= set(path.read_text("utf-8").splitlines())
    bay = load_bay(path)
    assert bay.devices["pdu-2"] == entries[1]
    assert bay.secrets == {"pdu": SecretSource(env="PDU")}
    assert add_endpoints(path, entries, {"pdu": SecretSource(env="PDU")}) == []
    other = Endpoint(driver="pdu", address="snmp://10.0.4.42", secrets={"community": "pdu"})
    with pytest.raises(DefinitionError, match="another variable"):
        add_endpoints(path, [other], {"pdu": SecretSource(file="elsewhere")})
    assert load_bay(path) == bay
    assert [each.name for each in tmp_path.iterdir()] == ["bay.yaml"]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "ftp://10.0.0.1",
        "snmp://10.0.0.1 --profile apc-rpdu2",
        "snmp://10.0.0.1 --driver pdux",
        "https://10.0.0.1 --option fingerprint",
        "https://10.0.0.1 --secret-env password=hunter-2!",
        "https://10.0.0.1 --secret-env password=RACKPROOF_NOT_SET",
        "https://10.0.0.1 --bay bay.yaml",
    ],
)
def test_wrong_usage_is_refused_before_the_first_contact(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["probe", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("rackproof probe: ")
    assert "hunter" not in said.err
    assert not said.out
