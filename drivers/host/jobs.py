"""Loads on a host, detached from the station: started, watched, renewed and stopped through the job script."""

from __future__ import annotations

import base64
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from drivers.host.script import NAME, SCRIPT
from drivers.host.tools import TAIL, Spec, command, outcomes
from drivers.transports.ssh import Completed, SshWire
from harness.capabilities import Job, JobState, Load, Output
from harness.errors import Misbehaved, Refused, Unsupported

SHOWN = 2000
"""Characters of a job's output that a report gets."""
PIECE = 512 * 1024
"""Octets of output that are read at once."""
PATIENCE = 15.0
"""Wall seconds that starting or stopping may take: first TERM, after a second KILL, then looking again."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_INSTALL = """
for base in ${HOME:+"$HOME/.rackproof"} /var/lib/rackproof; do
    if mkdir -p "$base/jobs" 2>/dev/null && [ -w "$base/jobs" ]; then
        cat >"$base/part.$$" <<'RACKPROOF' && mv "$base/part.$$" "$base/NAME" && echo "$base" && exit 0
SCRIPT
RACKPROOF
    fi
done
echo "neither the home directory nor /var/lib can be written" >&2
exit 73
"""


class Jobs:
    """The jobs of one host. `lease` in wall seconds; `addresses` by interface; `directory` where tools are run."""

    def __init__(self, device: str, wire: SshWire, lease: float, addresses: Mapping[str, str], directory: str) -> None:
        self._device = device
        self._wire = wire
        self._lease = lease
        self._addresses = addresses
        self._directory = directory
        self._base = ""

    async def start(self, load: Load) -> Job:
        """Start a load, or find it running; raises Refused where another load of that name runs.

        A load of that name that has ended is history: it is put aside and the load is started anew, since its result
        proves nothing about now.
        """
        attempt = f"start {load.name}"
        spec = Spec.of(load)
        try:
            argv = command(load, self._addresses)
        except ValueError as error:
            raise Unsupported(self._device, attempt, str(error), "Correct the model or the bay file.") from error
        limit = str(math.ceil(load.limit))
        told = await self._do(
            attempt,
            ("start", self._checked(load.name), str(math.ceil(self._lease)), limit, self._directory, spec.text, *argv),
            deadline=PATIENCE,
        )
        facts = _blocks(told.out)[-1:]
        if not facts or facts[0].get("known") != "yes":
            raise Misbehaved(self._device, attempt, "the host keeps no record of it", "Check its disk.", told.out)
        if facts[0].get("spec") != spec.text:
            raise Refused(
                self._device,
                attempt,
                f"a load of that name runs and is another one: {facts[0].get('spec')}",
                "Stop it first, or give this one a name of its own.",
            )
        return await self.job(load.name)

    async def job(self, name: str) -> Job:
        """What the host knows of one load; one that it does not know is LOST. Raises DeviceError."""
        attempt = f"look at {name}"
        first = await self._do(attempt, ("show", self._checked(name), str(SHOWN)))
        facts, text = _split(first.out)
        if facts.get("known") != "yes":
            return Job(name, JobState.LOST, None, (), "the host knows no such load")
        spec = Spec.read(facts.get("spec", ""))
        needed = TAIL.get(spec.load.tool, SHOWN) if spec else SHOWN
        if needed > SHOWN and len(text.encode()) >= SHOWN - 4:
            facts, text = _split((await self._do(attempt, ("show", name, str(needed)))).out)
        return _job(name, facts, text, spec)

    async def stop(self, name: str) -> Job:
        """Kill a load and all it started; raises Misbehaved where something of it is still there."""
        attempt = f"stop {name}"
        facts = _blocks((await self._do(attempt, ("stop", self._checked(name)), deadline=PATIENCE)).out)
        self._prove_gone(attempt, facts)
        return await self.job(name)

    async def stop_all(self) -> Sequence[Job]:
        """Kill every load that was ever started here, by any session; raises Misbehaved where one is still there."""
        facts = _blocks((await self._do("stop all loads", ("stop_all",), deadline=PATIENCE)).out)
        self._prove_gone("stop all loads", facts)
        jobs = (_job(each.get("name", ""), each, "", Spec.read(each.get("spec", ""))) for each in facts)
        return tuple(replace(job, outcomes=()) for job in sorted(jobs, key=lambda job: job.name))

    async def renew(self) -> None:
        """Extend the lease of every load that has not ended; raises DeviceError."""
        await self._do("renew the leases", ("renew",))

    async def output(self, name: str, since: int) -> Output:
        """A piece of what a load has printed, from octet `since` on; empty: there is no more. Raises DeviceError."""
        attempt = f"read the output of {name}"
        done = await self._do(attempt, ("read", self._checked(name), str(max(0, since)), str(PIECE)))
        try:
            octets = base64.b64decode("".join(done.out.split()), validate=True)
        except ValueError as error:
            advice = "Check what the host's shell prints at login."
            raise Misbehaved(self._device, attempt, f"it is no base64: {error}", advice, done.out[:SHOWN]) from error
        return Output(octets, max(0, since) + len(octets))

    async def clean_up(self) -> tuple[str, ...]:
        """Stop every load and remove all that was put here; what is still there, by path. Raises DeviceError."""
        await self.stop_all()
        done = await self._do("remove what was put on the host", ("clean",), deadline=PATIENCE)
        self.forget()
        return tuple(line for line in done.out.splitlines() if line.strip())

    def forget(self) -> None:
        """The connection is gone: look for the script again."""
        self._base = ""

    def _checked(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise Unsupported(self._device, f"use the load name {name!r}", "only letters, digits, dots and dashes", "")
        return name

    def _prove_gone(self, attempt: str, blocks: Sequence[Mapping[str, str]]) -> None:
        left = [each.get("name", "?") for each in blocks if each.get("known") == "yes" and each.get("alive") != "0"]
        if left:
            raise Misbehaved(
                self._device,
                attempt,
                f"processes of {', '.join(left)} are still there after KILL",
                "Cut the power of this host: a load cannot be stopped.",
            )

    async def _do(self, attempt: str, words: Sequence[str], deadline: float | None = None) -> Completed:
        """Run one verb of the script; every verb may run twice. Raises DeviceError."""
        base = self._base or await self._install()
        argv = ("/bin/sh", f"{base}/{NAME}", f"{base}/jobs", *words)
        done = await self._wire.run(shlex.join(argv), deadline=max(deadline or 0.0, self._wire.timeout), again=True)
        if done.exit_code != 0:
            self._base = ""  # it may have been cleaned away: the next call puts it back
            raise self._failed(attempt, done)
        return done

    async def _install(self) -> str:
        text = _INSTALL.replace("NAME", NAME).replace("SCRIPT", SCRIPT.strip())
        done = await self._wire.run(f"/bin/sh -c {shlex.quote(text)}", again=True)
        base = done.out.strip()
        if done.exit_code != 0 or not base.startswith("/") or "\n" in base:
            raise self._failed("install the job script", done)
        self._base = base
        return base

    def _failed(self, attempt: str, done: Completed) -> Misbehaved:
        said = (done.err.strip() or done.out.strip())[-300:]
        return Misbehaved(
            self._device, attempt, f"exit code {done.exit_code}: {said}", "Check the host's disk and shell.", done.err
        )


def job_state(facts: Mapping[str, str]) -> JobState:
    """The state of a job from the host's facts. What is neither proven done nor seen alive is LOST."""
    if facts.get("stopped") == "yes":
        return JobState.RUNNING if _alive(facts) else JobState.STOPPED
    if _code(facts) is not None:
        # What the lease, the limit or the loss of its main process ended did not end by itself.
        return JobState.LOST if facts.get("ended") in ("lease", "orphan") else JobState.DONE
    return JobState.RUNNING if facts.get("boot") == "same" and _alive(facts) else JobState.LOST


def _job(name: str, facts: Mapping[str, str], text: str, spec: Spec | None) -> Job:
    state = job_state(facts)
    found = outcomes(spec, text, exit_code=_code(facts), done=state is JobState.DONE) if spec else ()
    shown = text[-SHOWN:]
    if state is JobState.LOST:
        shown = f"{_why_lost(facts)}\n{shown}"
    return Job(name, state, _code(facts), found, shown, restarted=facts.get("boot") == "changed")


def _why_lost(facts: Mapping[str, str]) -> str:
    if facts.get("ended") == "lease":
        return "[ended by itself: the station did not renew its lease]"
    if facts.get("boot") != "same":
        return "[lost: the host was restarted]"
    return "[lost: neither a result nor a process]"


def _alive(facts: Mapping[str, str]) -> bool:
    return facts.get("alive") != "0"


def _code(facts: Mapping[str, str]) -> int | None:
    word = facts.get("rc", "")
    return int(word) if re.fullmatch(r"[0-9]{1,3}", word) else None


def _split(text: str) -> tuple[dict[str, str], str]:
    """The facts of one job, and the output behind them."""
    head, _, output = text.partition("\noutput=\n")
    blocks = _blocks(head)
    return (blocks[0] if blocks else {}), output


def _blocks(text: str) -> list[dict[str, str]]:
    """Facts job by job; each begins with its name."""
    blocks: list[dict[str, str]] = []
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if key == "name" and equals:
            blocks.append({})
        if equals and blocks:
            blocks[-1][key] = value
    return blocks
