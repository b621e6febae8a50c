"""The command line: parse, hand over to one command, turn errors into one clear message and an exit code.

    0 PASS · 1 FAIL (or a verification that failed) · 2 wrong definition or usage · 3 INCONCLUSIVE · 4 ABORTED

Nothing heavy is imported here, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

USAGE = 2
ABORTED = 4
EXAMPLES = {
    "run": "rackproof run --simulate bench4 --fault tray-03.cold_plate.clogged=2.0\n"
    "  rackproof run --model bench4 --bay bay-07.yaml --serial RK-2026-0117",
    "resume": "rackproof resume runs/20261122T101500Z-RK-2026-0117-3fa9",
    "plan": "rackproof plan --model bench4",
    "prove": "rackproof prove bench4\n  rackproof prove my_plan my_model.yaml --seeds 300 --resume",
    "simulate": "rackproof simulate bench4 --bay-out bay.yaml --fault pdu-a.outlets.swapped\n"
    "  rackproof simulate --list-faults",
    "verify": "rackproof verify runs/20261122T101500Z-RK-2026-0117-3fa9 --root root.pem",
    "report": "rackproof report runs/20261122T101500Z-RK-2026-0117-3fa9",
    "baseline": "rackproof baseline runs/* --out baselines/bench4.yaml\n"
    "  rackproof baseline --check baselines/bench4.yaml runs/2026112*",
    "probe": "rackproof probe https://10.0.4.21 --user admin --secret-env password=BMC_PASSWORD --option ca=line.pem\n"
    "  rackproof probe snmp://10.0.4.40 --secret-env community=PDU_COMMUNITY --option version=2 --write-bay bay.yaml\n"
    "  rackproof probe --bay bay-07.yaml --json",
    "doctor": "rackproof doctor --bay bay-07.yaml --model bench4",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; no traceback reaches a user for anything a user can cause."""
    parsed = _parser().parse_args(arguments)
    command = importlib.import_module(f"harness.commands.{parsed.command}")
    from harness.errors import RackproofError
    from harness.inert import told

    try:
        code: int = command.execute(parsed)
    except RackproofError as error:
        print(told(f"rackproof {parsed.command}: {error}", ""), file=sys.stderr)  # noqa: T201 - this is the command line
        code = USAGE
    except KeyboardInterrupt:
        print(f"rackproof {parsed.command}: stopped", file=sys.stderr)  # noqa: T201
        code = ABORTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rackproof",
        description="Accept an assembled AI rack: compute, links, power and cooling in one plan, a signed verdict.",
        epilog=_epilog("run"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run(_command(commands, "run", "accept a rack, or a simulated one"))
    _resume(_command(commands, "resume", "go on with a run that was stopped, killed or cut off"))
    _plan(_command(commands, "plan", "show a plan without touching a rack: steps, and which limit each one judges"))
    _prove(_command(commands, "prove", "show what a plan catches: every fault, and healthy racks of many seeds"))
    _simulate(_command(commands, "simulate", "keep a simulated rack standing and print the bay file to reach it"))
    _verify(_command(commands, "verify", "check a run's signatures, digests and verdict"))
    _report(_command(commands, "report", "derive a run's reports again from its journal"))
    _baseline(
        _command(commands, "baseline", "learn what accepted racks do, and watch later ones for outliers and drift")
    )
    _probe(_command(commands, "probe", "find out what speaks at an address, what it can do and what it measures now"))
    _doctor(_command(commands, "doctor", "check this station"))
    return parser


def _epilog(name: str) -> str:
    return f"example:\n  {EXAMPLES[name]}"


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=_epilog(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _run(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to accept")
    one = what.add_mutually_exclusive_group(required=True)
    one.add_argument("--simulate", metavar="MODEL", help="a simulated rack of this model (a name or a file)")
    one.add_argument("--model", metavar="MODEL", help="the model of the docked rack (a name or a file)")
    what.add_argument("--bay", metavar="FILE", help="where the rack is docked")
    what.add_argument("--serial", metavar="SERIAL", help="the rack's serial, as scanned")
    what.add_argument("--plan", metavar="DIR", help="another plan than the shipped one")
    what.add_argument("--proof", metavar="FILE", help="the proof of the plan (default: the one beside the plan)")
    what.add_argument("--order", default="", metavar="NUMBER", help="order number, for the certificate")
    what.add_argument("--customer", default="", metavar="NAME", help="customer, for the certificate")
    what.add_argument("--operator", default="", metavar="NAME", help="who runs it, for the certificate")
    simulation = parser.add_argument_group("simulation")
    simulation.add_argument("--fault", action="append", default=[], metavar="SPEC", help="put a fault into the rack")
    simulation.add_argument("--seed", type=int, default=1, metavar="N", help="of sensors and serials (default 1)")
    simulation.add_argument("--pace", type=float, metavar="P", help="rack seconds per wall second (default 20)")
    simulation.add_argument("--replay", metavar="RUN", help="play the telemetry of a recorded run back")
    # For whoever starts runs by the dozen: none outlives its parent, and nobody reads their reports.
    parser.add_argument("--parent-pid", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--no-reports", action="store_false", dest="reports", help=argparse.SUPPRESS)
    output = parser.add_argument_group("output")
    output.add_argument("--runs", default="runs", metavar="DIR", help="where run directories are made (default runs)")
    output.add_argument("--json", action="store_true", help="print one JSON object as the last line of standard output")
    output.add_argument("--metrics-port", type=int, metavar="PORT", help="export the live state on loopback")
    output.add_argument("--keys", metavar="DIR", help="signing keys (default: demo keys, made once)")


def _resume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="DIR", help="the run directory")
    what = parser.add_argument_group("what may be elsewhere now")
    what.add_argument("--bay", metavar="FILE", help="the bay file, with other addresses (default: the one of the run)")
    what.add_argument("--model", metavar="FILE", help="the model, unchanged (default: the one of the run)")
    what.add_argument("--plan", metavar="DIR", help="the plan (default: the one of the run)")
    what.add_argument("--operator", default="", metavar="NAME", help="who goes on with it, for the certificate")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="print one JSON object as the last line of standard output")
    output.add_argument("--metrics-port", type=int, metavar="PORT", help="export the live state on loopback")
    output.add_argument("--keys", metavar="DIR", help="signing keys (default: demo keys, made once)")


def _plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", metavar="DIR", help="the plan (default: the shipped one)")
    parser.add_argument("--model", required=True, metavar="MODEL", help="model to check the plan against")
    parser.add_argument("--json", action="store_true", help="print the plan as one JSON object")


def _prove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="the plan (default: the shipped one)")
    parser.add_argument("model", metavar="MODEL", help="the model it is for (a name or a file)")
    what = parser.add_argument_group("what is run")
    what.add_argument(
        "--fault", action="append", metavar="NAME", help="only this fault; may be repeated (default: every fault)"
    )
    what.add_argument("--sample", type=int, metavar="N", help="only N faults, drawn by --seed from every domain")
    what.add_argument("--seeds", type=int, default=300, metavar="N", help="healthy racks: seeds 1 to N (default 300)")
    what.add_argument("--seed", type=int, default=1, metavar="N", help="of the racks with a fault (default 1)")
    what.add_argument("--pace", type=float, default=20.0, metavar="P", help="rack s per wall second (default 20)")
    what.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time (default: cores)")
    what.add_argument("--quick", action="store_true", help="end a run as soon as its fault is caught by its own check")
    what.add_argument("--resume", action="store_true", help="take over what the proof or an interrupted one has")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="the proof (default: proofs/PLAN-MODEL.json beside the plan)")
    output.add_argument("--keep", metavar="DIR", help="keep the run directories of what was not as it should be")
    output.add_argument("--json", action="store_true", help="print the proof as one JSON object")


def _simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a model's name or file")
    parser.add_argument("--fault", action="append", default=[], metavar="SPEC", help="put a fault into the rack")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of sensors and serials (default 1)")
    parser.add_argument("--pace", type=float, default=1.0, metavar="P", help="rack seconds per wall second (default 1)")
    parser.add_argument("--replay", metavar="RUN", help="play the telemetry of a recorded run back")
    parser.add_argument("--bay-out", metavar="FILE", help="write the bay file here (default: a temporary folder)")
    parser.add_argument("--list-faults", action="store_true", help="list the faults and end")
    parser.add_argument("--json", action="store_true", help="with --list-faults: a JSON list")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="DIR", help="the run directory")
    parser.add_argument("--root", metavar="FILE", help="the root certificate you trust (default: the one in DIR)")
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON object")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="DIR", help="the run directory")
    parser.add_argument("--keys", metavar="DIR", help="signing keys (default: demo keys)")


def _baseline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="+", metavar="RUN", help="run directories, in any order")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", metavar="FILE", help="learn from these runs and write the baselines there")
    what.add_argument("--check", metavar="FILE", help="hold these runs against the baselines there")
    parser.add_argument("--model", metavar="MODEL", help="count runs of this model only; with --check: its tolerances")
    parser.add_argument("--least", type=int, metavar="N", help="with --out: racks that are needed (default 5)")
    parser.add_argument("--last", type=int, metavar="K", help="with --check: racks that drift is judged by (default 5)")
    parser.add_argument("--root", metavar="FILE", help="the root certificate you trust (default: the one in each RUN)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _probe(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to probe; it is only read from")
    what.add_argument(
        "address", nargs="*", metavar="ADDRESS", help="https://, snmp://, modbus+tcp://, ssh://, serial:/// …"
    )
    what.add_argument("--bay", metavar="FILE", help="every device of this bay file, as it stands there")
    how = parser.add_argument_group("how ADDRESS is reached")
    how.add_argument("--user", default="", metavar="NAME", help="user to log in as")
    how.add_argument(
        "--secret-env",
        action="append",
        default=[],
        metavar="PURPOSE=VARIABLE",
        help="environment variable that holds the password, community, auth or privacy secret; it is tried once",
    )
    how.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="fingerprint, host_key, version, unit, units …",
    )
    how.add_argument("--driver", default="", metavar="NAME", help="do not find out: take this driver")
    how.add_argument("--profile", default="", metavar="NAME", help="with --driver: and this profile")
    output = parser.add_argument_group("output")
    output.add_argument("--write-bay", metavar="FILE", help="add what was recognised to this bay file; - prints it")
    output.add_argument(
        "--json", action="store_true", help="print one JSON object; several devices stand in its `devices`"
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bay", metavar="FILE", help="also check that this bay file loads and its secrets are there")
    parser.add_argument("--model", metavar="MODEL", help="the model for --bay")
