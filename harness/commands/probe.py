"""`rackproof probe`: what speaks at an address, what it can do, what it measures now, and its entry for a bay file."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.clock import Clock
from harness.connection import Connection, Option, Secret
from harness.errors import DefinitionError, Problem
from harness.inert import escaped_json, told
from harness.probing import Found, Target, described, probe
from harness.quantities import Value
from harness.rack.bay import Endpoint, SecretSource
from harness.rack.entry import add_endpoints, text_of
from harness.rack.load import load_bay
from harness.registry import connection_to
from harness.secrets import resolve

PURPOSES = ("password", "community", "auth", "privacy")
PROBLEMS = 3
HINTS = {
    "secrets": "; here: --secret-env PURPOSE=VARIABLE",
    "options": "; here: --option KEY=VALUE",
    "user": "; here: --user NAME",
}
"""What an entry of a bay file is on the command line."""
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def execute(arguments: argparse.Namespace) -> int:
    """Print what was found, one device after the other; 0 if all is well, 3 if any device has a problem."""
    variables = _variables(arguments.secret_env)
    targets = _of_bay(arguments) if arguments.bay else _of_addresses(arguments, variables)
    try:
        found = probe(targets)
    except DefinitionError as error:
        raise error if arguments.bay else _on_command_line(error, targets) from error
    if arguments.json:
        rows = [described(each) for each in found]
        whole = rows[0] if len(rows) == 1 and not arguments.bay else {"devices": rows}
        sys.stdout.write(escaped_json(json.dumps(whole, ensure_ascii=False, allow_nan=False)) + "\n")
    else:
        for each in found:
            _print(each)
    if arguments.write_bay:
        _write(arguments, found, variables)
    return PROBLEMS if any(each.problems for each in found) else 0


def _on_command_line(error: DefinitionError, targets: Sequence[Target]) -> DefinitionError:
    """The same problems, in the words of the command line: a driver names the place in a bay file."""
    problems: list[Problem] = []
    for problem in error.problems:
        names = (target.connection.device for target in targets)
        device = next((name for name in names if problem.path.startswith(f"devices.{name}")), "")
        place = problem.path.removeprefix(f"devices.{device}.").partition(".")[0]
        whose = f"{device}: " if device and device not in problem.text else ""
        problems.append(Problem("command line", "", f"{whose}{problem.text}{HINTS.get(place, '')}"))
    return DefinitionError(problems)


def _of_bay(arguments: argparse.Namespace) -> list[Target]:
    """Every device of a bay file, as it stands there."""
    own = ("address", "user", "secret_env", "option", "driver", "profile", "write_bay")
    if any(getattr(arguments, name) for name in own):
        raise DefinitionError("--bay says all of its devices itself: leave out addresses and every other option")
    path = Path(arguments.bay)
    bay = load_bay(path)
    secrets, clock = resolve(bay, path), bay.clock()
    return [
        Target(connection_to(name, endpoint, secrets, clock), endpoint.driver) for name, endpoint in bay.devices.items()
    ]


def _of_addresses(arguments: argparse.Namespace, variables: Mapping[str, str]) -> list[Target]:
    """One device an address; they are called by their addresses."""
    if not arguments.address:
        raise DefinitionError(
            "name the ADDRESS of a device, as https://10.0.4.21 or snmp://10.0.4.40, or give --bay FILE"
        )
    if arguments.profile and not arguments.driver:
        raise DefinitionError("--profile needs --driver: a profile belongs to one driver")
    secrets: dict[str, Secret] = {}
    for purpose, variable in variables.items():
        value = os.environ.get(variable, "")
        if not value:
            raise DefinitionError(
                f"the environment variable {variable} is not set or empty: export it before the probe"
            )
        secrets[purpose] = Secret(variable, value)
    options, clock = dict(_option(each) for each in arguments.option), Clock.real()
    return [
        Target(
            Connection(address, address, arguments.profile, arguments.user, secrets, options, now=clock.now),
            arguments.driver,
        )
        for address in dict.fromkeys(arguments.address)
    ]


def _variables(given: Sequence[str]) -> dict[str, str]:
    """Purpose to environment variable. What is given is not repeated in a message: it may be the secret itself."""
    found: dict[str, str] = {}
    for each in given:
        purpose, _, variable = each.partition("=")
        if purpose not in PURPOSES or not _VARIABLE.fullmatch(variable):
            raise DefinitionError(
                f"--secret-env takes PURPOSE=VARIABLE, PURPOSE one of {', '.join(PURPOSES)}, VARIABLE the name of an "
                "environment variable; a secret itself never stands on a command line"
            )
        found[purpose] = variable
    return found


def _option(given: str) -> tuple[str, Option]:
    name, sign, text = given.partition("=")
    if not name or not sign or not text:
        raise DefinitionError(f"--option takes KEY=VALUE, as version=2, not {given!r}")
    if text in ("true", "false"):
        return name, text == "true"
    if not _NUMBER.fullmatch(text):
        return name, text
    return name, float(text) if "." in text else int(text)


def _write(arguments: argparse.Namespace, found: Sequence[Found], variables: Mapping[str, str]) -> None:
    """Add the devices that were recognised; those with a problem as well, since their address and driver are known."""
    # Where the variable's name is long gone, the name of the secret still says what it is.
    names = {purpose: variable.lower().replace("_", "-") for purpose, variable in variables.items()}
    sources = {names[purpose]: SecretSource(env=variable) for purpose, variable in variables.items()}
    endpoints = [
        Endpoint(
            driver=each.driver,
            address=each.target.connection.address,
            profile=each.profile,
            user=each.target.connection.user,
            secrets=names,
            options=dict(each.options),
        )
        for each in found
        if each.driver
    ]
    said = sys.stderr if arguments.json else sys.stdout
    if arguments.write_bay == "-":
        numbered = {f"{endpoint.driver}-{number}": endpoint for number, endpoint in enumerate(endpoints, 1)}
        said.write(text_of(numbered, sources))
        return
    added = add_endpoints(Path(arguments.write_bay), endpoints, sources) if endpoints else []
    text = f"added {', '.join(added)} to {arguments.write_bay}" if added else f"nothing new for {arguments.write_bay}"
    said.write(f"{text}\n")


def _print(found: Found) -> None:
    from rich.console import Console
    from rich.markup import escape as unmarked
    from rich.table import Table

    def escape(text: str) -> str:
        # What answers at an address that nobody described yet may say anything.
        return unmarked(told(text))

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    name, address = found.target.connection.device, found.target.connection.address
    title = name if name == address else f"{name}, {address}"
    what = f"{found.driver}/{found.profile or '-'} ({found.tier})" if found.driver else "not recognised"
    facts = Table(title=escape(f"{title}: {what}"), title_justify="left", show_header=False)
    if found.identity is not None:
        said = found.identity
        facts.add_row("made by", escape(said.manufacturer or "-"))
        facts.add_row("model", escape(f"{said.model or '-'}, part number {said.part_number or '-'}"))
        facts.add_row("serial", escape(said.serial or "-"))
        facts.add_row("firmware", escape(said.firmware or "-"))
    if found.capabilities:
        facts.add_row("can do", ", ".join(found.capabilities))
    if found.alternatives:
        facts.add_row("fits too", ", ".join(found.alternatives))
    for problem in found.problems:
        facts.add_row("[red]problem[/red]", escape(problem))
    console.print(facts)
    if not (found.samples or found.sensors):
        return
    readings = Table()
    for column in ("quantity", "part", "value", "unit", "at (UTC)"):
        readings.add_column(column, justify="right" if column == "value" else "left")
    for sample in found.samples:
        channel, reading = sample.channel, sample.reading
        value = _shown(reading.value) if reading.usable else reading.quality.value
        at = f"{reading.at:%Y-%m-%d %H:%M:%S}"
        readings.add_row(channel.quantity, escape(channel.part), escape(value), channel.unit.value, at)
    for sensor in found.sensors:
        reading = sensor.reading
        value = _shown(reading.value) if reading.usable else reading.quality.value
        at = f"{reading.at:%Y-%m-%d %H:%M:%S}"
        readings.add_row(
            f"sensor: {escape(sensor.quantity)}", escape(sensor.name), escape(value), reading.unit.value, at
        )
    console.print(readings)


def _shown(value: Value) -> str:
    """A value as people read it: six figures after the point are noise of binary fractions, counters are whole."""
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
