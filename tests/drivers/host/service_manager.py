"""A stand-in for systemd where PID 1 is another one: `service_manager.py FOLDER systemd-run|systemctl ARGUMENT…`.

Written from systemd-run(1), systemctl(1), systemd.service(5) and systemd.kill(5), as far as transient services go: an
environment of its own, one unit of a name, Type=exec, RuntimeMaxSec, KillMode=control-group with TimeoutStopSec, units
unloaded once they have ended (--collect), patterns, exit statuses. A control group is stood in for by a process that
all of the unit's orphans become children of (prctl(2), PR_SET_CHILD_SUBREAPER): none leaves it by clearing its
environment or by a session of its own. A unit is a folder in FOLDER; `log` keeps how each was asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import fnmatch
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

SUBREAPER = 36
KNOWN = {"Type", "RuntimeMaxSec", "TimeoutStopSec", "KillMode", "OOMPolicy", "LimitMEMLOCK"}


def complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(folder: Path, tool: str, arguments: list[str]) -> int:
    return systemd_run(folder, arguments) if tool == "systemd-run" else systemctl(folder, arguments)


def systemd_run(folder: Path, arguments: list[str]) -> int:
    """Start a transient service; returns once its command has been executed."""
    options, properties, environment, words = {}, {}, {}, list(arguments)
    while words and words[0].startswith("--"):
        name, _, value = words.pop(0).partition("=")
        if name == "--property":
            key, _, setting = value.partition("=")
            if key not in KNOWN:
                complain(f"Unknown assignment: {value}")
                return 1
            properties[key] = setting
        elif name == "--setenv":
            key, _, setting = value.partition("=")
            environment[key] = setting
        elif name in ("--quiet", "--collect", "--unit", "--system", "--user"):
            options[name] = value
        else:
            complain(f"systemd-run: unrecognized option '{name}'")
            return 1
    with (folder / "log").open("a") as log:
        log.write(json.dumps({"options": options, "properties": properties, "command": words}) + "\n")
    unit = folder / options["--unit"]
    try:
        unit.mkdir()
    except FileExistsError:
        said = f"Unit {unit.name} was already loaded or has a fragment file."
        complain(f"Failed to start transient service unit: {said}")
        return 1
    told, tell = os.pipe()
    if os.fork() == 0:
        os.close(told)
        _become_service(unit, words, environment, properties, tell)
    os.close(tell)
    with os.fdopen(told) as answer:
        return 0 if answer.read() == "executed" else 1


def _become_service(
    unit: Path, command: list[str], environment: dict[str, str], properties: dict[str, str], tell: int
) -> None:
    """Be the control group of a unit until it is empty. Does not return."""
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        if properties.get("LimitMEMLOCK") == "infinity":
            hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (hard, hard))
        usual = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "INVOCATION_ID": "0" * 32}
        stopping: list[int] = []

        def stop(number: int, _frame: FrameType | None) -> None:
            stopping.append(number)

        signal.signal(signal.SIGTERM, stop)
        main_process = subprocess.Popen(command, env={**usual, **environment}, cwd="/", start_new_session=True)
        (unit / "pid").write_text(str(os.getpid()))
        os.write(tell, b"executed")
        os.close(tell)
        end = time.monotonic() + float(properties.get("RuntimeMaxSec", "1e9"))
        while main_process.poll() is None and not stopping and time.monotonic() < end:
            time.sleep(0.02)
            _reap(main_process.pid)
        (unit / "deactivating").touch()
        number, kill_at = signal.SIGTERM, time.monotonic() + float(properties.get("TimeoutStopSec", "90"))
        told: set[int] = set()
        while left := _below(os.getpid()):
            if time.monotonic() >= kill_at:
                number, told = signal.SIGKILL, set()
            for pid in left - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= left
            time.sleep(0.02)
            main_process.poll()
            _reap(main_process.pid)
    finally:
        shutil.rmtree(unit)
        os._exit(0)


def _reap(but: int) -> None:
    """Take note of orphans that have ended; the main process is Popen's."""
    for pid in _below(os.getpid(), zombies=True):
        if pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _below(root: int, *, zombies: bool = False) -> set[int]:
    """The processes that descend from one (proc(5), /proc/PID/stat)."""
    parents, dead = {}, set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = file.read_text().rpartition(")")[2].split()[:2]
            parents[int(file.parent.name)] = int(parent)
            if state == "Z":
                dead.add(int(file.parent.name))
    found: set[int] = set()
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent == root or parent in found}
        grown, found = more != found, more
    return found if zombies else found - dead


def systemctl(folder: Path, arguments: list[str]) -> int:
    """is-system-running, is-active, stop."""
    verb, *names = [word for word in arguments if not word.startswith("--")]
    if verb == "is-system-running":
        state = (folder / "state").read_text().strip()
        sys.stdout.write(f"{state}\n")
        return 0 if state == "running" else 1
    if verb == "is-active":
        unit = folder / names[0]
        state = "inactive"
        if unit.is_dir():
            state = "deactivating" if (unit / "deactivating").exists() else "active"
        sys.stdout.write(f"{state}\n")
        return 0 if state == "active" else 3
    if verb == "stop":
        status = 0
        for name in names:
            units = [path for path in folder.iterdir() if path.is_dir() and fnmatch.fnmatch(path.name, name)]
            if not units and "*" not in name:
                complain(f"Failed to stop {name}: Unit {name} not loaded.")
                status = 5
            for unit in units:
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(int((unit / "pid").read_text()), signal.SIGTERM)
                while unit.is_dir():
                    time.sleep(0.02)
        return status
    complain(f"Unknown command verb {verb}.")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
