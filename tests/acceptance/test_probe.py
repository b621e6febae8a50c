"""Probing a standing simulated rack, by its bay file and by bare addresses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.rack.bay import Bay
from harness.rack.load import load_bay, model_path
from harness.secrets import resolve
from harness.simulation import Simulation, simulated_rack
from tests.acceptance.runs import RACKPROOF, ROOT, rackproof

READING = frozenset({"name", "value", "unit", "at", "quality"})


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bay file of a standing rack."""
    with simulated_rack(Simulation(model_path("bench4"), pace=1.0), tmp_path_factory.mktemp("rack"), sys.stderr) as bay:
        yield bay


@pytest.fixture(scope="module")
def bay(rack: Path) -> Bay:
    return load_bay(rack)


def probed(*arguments: str, **variables: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and devices of `rackproof probe --json`, which prints one object: the device, or all of them."""
    done = rackproof("probe", "--json", *arguments, timeout=120, variables=variables)
    assert "Traceback" not in done.stderr
    whole = json.loads(done.stdout)
    return done.returncode, whole.get("devices", [whole])


def revealed(bay: Bay, rack: Path, device: str) -> tuple[list[str], dict[str, str]]:
    """How a device's secrets are handed over: arguments, and environment."""
    found = resolve(bay, rack)
    named = bay.devices[device].secrets
    words = [word for purpose in named for word in ("--secret-env", f"{purpose}=PROBE_{purpose.upper()}")]
    return words, {f"PROBE_{purpose.upper()}": found[name].reveal() for purpose, name in named.items()}


def test_every_device_of_a_bay_is_well(rack: Path, bay: Bay) -> None:
    code, found = probed("--bay", str(rack))
    assert [problem for each in found for problem in each["problems"]] == []
    assert code == 0
    assert [each["device"] for each in found] == list(bay.devices)
    for each in found:
        endpoint = bay.devices[each["device"]]
        assert (each["driver"], each["profile"] or "") == (endpoint.driver, endpoint.profile)
        assert each["tier"] in ("bronze", "silver", "gold", "platinum")
        assert each["problems"] == []
        if endpoint.driver == "console":
            assert each["capabilities"] == ["Console", "ConsoleCommands"]
            continue
        assert each["identity"]["serial"]
        assert {"Identity", "Telemetry"} <= set(each["capabilities"])
        assert any(reading["value"] is not None for reading in each["readings"])
        assert {frozenset(reading) for reading in each["readings"]} == {READING}
        assert len({reading["name"] for reading in each["readings"]}) == len(each["readings"])
        assert all((reading["value"] is None) == (reading["quality"] != "good") for reading in each["readings"])


@pytest.mark.parametrize(
    ("device", "driver", "profile"),
    [
        ("tray-01", "bmc", None),
        ("tray-01-host", "host", None),
        ("switch-1", "switch", "standard-switch"),
        ("pdu-a", "pdu", "apc-rpdu2"),
        ("pdu-b", "pdu", "apc-rpdu2"),
        ("shelf-1", "power_shelf", "orv3-psu"),
        ("cdu-1", "cdu", "orv3-rpu"),
    ],
)
def test_a_bare_address_is_recognised_and_becomes_an_entry(
    rack: Path, bay: Bay, tmp_path: Path, device: str, driver: str, profile: str | None
) -> None:
    endpoint, (words, variables) = bay.devices[device], revealed(bay, rack, device)
    given = {name: value for name, value in endpoint.options.items() if name != "pumps"}
    options = [word for name, value in given.items() for word in ("--option", f"{name}={value}")]
    file = tmp_path / "new.yaml"
    arguments = [endpoint.address, *words, *options, "--write-bay", str(file)]
    code, (found,) = probed(*arguments, "--user", endpoint.user, **variables)
    assert (code, found["driver"], found["profile"], found["problems"]) == (0, driver, profile, [])
    (entry,) = load_bay(file).devices.values()
    assert (entry.driver, entry.address, entry.profile) == (driver, endpoint.address, profile or "")
    assert not any(secret in file.read_text("utf-8") for secret in variables.values())


def test_a_wrong_password_is_tried_once_and_is_a_problem(bay: Bay) -> None:
    endpoint = bay.devices["tray-01"]
    words = ("--user", endpoint.user, "--secret-env", "password=PROBE_WRONG")
    pin = ("--option", f"fingerprint={endpoint.options['fingerprint']}")
    code, (found,) = probed(endpoint.address, *words, *pin, PROBE_WRONG="not-this-one")
    assert (code, found["driver"], found["readings"]) == (3, None, [])
    assert len(found["problems"]) == 1
    assert "refuses the login" in found["problems"][0]
    assert "not-this-one" not in found["problems"][0]


def test_a_dead_address_is_a_problem() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        code, (found,) = probed(f"https://127.0.0.1:{closed.getsockname()[1]}")
    assert (code, found["driver"], len(found["problems"])) == (3, None, 1)
    assert "no connection" in found["problems"][0]


def test_a_port_that_takes_calls_and_says_nothing_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        code, (found,) = probed(f"https://127.0.0.1:{mute.getsockname()[1]}", "--option", "timeout=1")
    assert (code, found["driver"], len(found["problems"])) == (3, None, 1)


def test_several_addresses_are_one_object_and_one_that_is_dead_takes_nothing_from_the_others(bay: Bay) -> None:
    console = bay.devices["tray-01-console"].address
    code, found = probed(console, "socket://127.0.0.1:9")
    assert (code, [each["driver"] for each in found]) == (3, ["console", None])
    assert [len(each["problems"]) for each in found] == [0, 1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("htps://10.0.4.21",), "did you mean 'https'"),
        (("10.0.4.21",), "it begins with one of https://"),
        (("snmp://127.0.0.1:99999", "10.0.4.21"), "Port out of range"),
        (("snmp://127.0.0.1", "--option", "version=2"), "--secret-env PURPOSE=VARIABLE"),
        (("ssh://127.0.0.1",), "give a user"),
        (("--bay", "no-such-bay.yaml"), "there is no such file"),
    ],
)
def test_a_typing_error_is_named_and_nothing_is_contacted(words: tuple[str, ...], said: str) -> None:
    done = rackproof("probe", *words, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("rackproof probe: ")


def test_ctrl_c_ends_it_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"https://127.0.0.1:{mute.getsockname()[1]}"
        with subprocess.Popen(
            [*RACKPROOF, "probe", address], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            mute.settimeout(60)
            caller, _ = mute.accept()
            with caller:
                process.send_signal(signal.SIGINT)
                out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (4, "", "rackproof probe: stopped\n")
