"""Loads on a host, detached from the station: started, found again, watched, renewed and stopped by the job script."""

from __future__ import annotations

import math
import re
import shlex
import uuid
from collections.abc import Mapping, Sequence

from drivers.host.place import ABSENT, installation, question
from drivers.host.record import SHOWN, job_of, left_running, piece, split, split_all
from drivers.host.tools import TAIL, Spec, command, files
from drivers.transports.ssh import Completed, SshWire
from harness.errors import Misbehaved, Refused, Unsupported
from harness.workload import Job, Load, Output

PIECE = 512 * 1024
"""Octets of output that are read at once."""
PATIENCE = 15.0
"""Wall seconds that stopping may take: first TERM, after a second KILL, then looking again."""
STARTING = 45.0
"""Wall seconds that a start may take: until another one is through, and a service manager has answered."""
ONCE = "once"
"""The key of a start for which one is enough for ever."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Jobs:
    """The jobs of one host. `lease` in wall seconds; `addresses` by interface; `directory` where tools are run.

    Nothing is put on the host before the first start: whatever looks or stops finds that nothing is there.
    """

    def __init__(self, device: str, wire: SshWire, lease: float, addresses: Mapping[str, str], directory: str) -> None:
        self._device = device
        self._wire = wire
        self._lease = lease
        self._addresses = addresses
        self._directory = directory

    async def start(self, load: Load) -> Job:
        """Start a load, or find it running; raises Refused where another load of that name runs.

        A load of that name that has ended is history: it is put aside and the load is started anew, since its result
        proves nothing about now. One call starts once, however often the link breaks off in it; a second call starts
        a second time where the load has ended meanwhile. Whoever comes back and cannot know asks `start_once`.
        """
        return await self._start(load, uuid.uuid4().hex)

    async def start_once(self, load: Load) -> Job:
        """Start a load unless it was ever started here: one that runs is found, one that has ended as it ended.

        The load is known by its name, until `clean_up`: a session that is to find its own loads again, and never the
        result of an earlier one, gives names that hold its run. Raises Refused where the name is another load's.
        """
        return await self._start(load, ONCE)

    async def _start(self, load: Load, key: str) -> Job:
        attempt = f"start {load.name}"
        spec = Spec.of(load)
        try:
            argv = command(load, self._addresses)
        except ValueError as error:
            raise Unsupported(self._device, attempt, str(error), "Correct the model or the bay file.") from error
        limit = str(math.ceil(load.limit))
        words = (f"lease={math.ceil(self._lease)}", f"limit={limit}", f"directory={shlex.quote(self._directory)}")
        settings = "\n".join((*words, f"set -- {shlex.join(argv)}"))
        left = "".join(f"{file}\n" for file in files(load))
        told = await self._do(
            attempt, ("start", self._checked(load.name), key, limit, spec.text, settings, left), deadline=STARTING
        )
        facts = split_all(told.out)[-1:]
        if not facts or facts[0].get("known") != "yes":
            raise Misbehaved(self._device, attempt, "the host keeps no record of it", "Check its disk.", told.out)
        if facts[0].get("spec") != spec.text:
            raise Refused(
                self._device,
                attempt,
                f"the host has a load of that name, and it is another one: {facts[0].get('spec')}",
                "Stop it first, or give this one a name of its own.",
            )
        return await self.job(load.name)

    async def job(self, name: str) -> Job:
        """What the host knows of one load, whoever started it; one that it does not know is LOST. Raises DeviceError.

        It starts nothing: a session that was interrupted asks here first what became of its loads.
        """
        attempt = f"look at {name}"
        facts, text = split((await self._do(attempt, ("show", self._checked(name), str(SHOWN)))).out)
        spec = Spec.read(facts.get("spec", ""))
        needed = TAIL.get(spec.load.tool, SHOWN) if spec else SHOWN
        if needed > SHOWN and len(text.encode()) >= SHOWN - 4:
            facts, text = split((await self._do(attempt, ("show", name, str(needed)))).out)
        return job_of({**facts, "name": name}, text, spec)

    async def jobs(self) -> Sequence[Job]:
        """Every load of which the host has a record, by name, without outcomes; those put aside are NAME.1, NAME.2 …"""
        return self._listed((await self._do("list all loads", ("list",))).out)

    async def stop(self, name: str) -> Job:
        """Kill a load and all it started; raises Misbehaved where something of it is still there."""
        attempt = f"stop {name}"
        facts = split_all((await self._do(attempt, ("stop", self._checked(name)), deadline=PATIENCE, urgent=True)).out)
        self._prove_gone(attempt, facts)
        return await self.job(name)

    async def stop_all(self) -> Sequence[Job]:
        """Kill every load that was ever started here, by any session; raises Misbehaved where one is still there."""
        done = await self._do("stop all loads", ("stop_all",), deadline=PATIENCE, urgent=True)
        self._prove_gone("stop all loads", split_all(done.out))
        return self._listed(done.out)

    async def renew(self) -> None:
        """Extend the lease of every load that has not ended; raises DeviceError."""
        await self._do("renew the leases", ("renew",))

    async def output(self, name: str, since: int) -> Output:
        """A piece of what a load has printed on both its outputs, from octet `since` on; empty: there is no more.

        Raises DeviceError, and Misbehaved where the output is gone, or shorter than what was read of it before.
        """
        attempt, since = f"read the output of {name}", max(0, since)
        done = await self._do(attempt, ("read", self._checked(name), str(since), str(PIECE)))
        try:
            octets = piece(done.out, since, PIECE)
        except ValueError as error:
            advice = "Check the host's disk, and what its shell prints at login."
            raise Misbehaved(self._device, attempt, str(error), advice, done.out[:SHOWN]) from error
        return Output(octets, since + len(octets))

    async def clean_up(self) -> tuple[str, ...]:
        """Stop every load and remove all that was put here; raises DeviceError.

        What is still there is given: paths, or the processes that could not be killed; nothing is removed then.
        """
        done = await self._do("remove what was put on the host", ("clean",), deadline=PATIENCE)
        return tuple(line for line in done.out.splitlines() if line.strip())

    def _checked(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise Unsupported(self._device, f"use the load name {name!r}", "only letters, digits, dots and dashes", "")
        return name

    def _listed(self, text: str) -> tuple[Job, ...]:
        jobs = [job_of(facts) for facts in split_all(text)]
        return tuple(sorted(jobs, key=lambda job: job.name))

    def _prove_gone(self, attempt: str, blocks: list[dict[str, str]]) -> None:
        left = left_running(blocks)
        if left:
            raise Misbehaved(
                self._device,
                attempt,
                f"processes of {', '.join(left)} are still there after KILL",
                "Cut the power of this host: a load cannot be stopped.",
            )

    async def _do(
        self, attempt: str, words: Sequence[str], deadline: float | None = None, *, urgent: bool = False
    ) -> Completed:
        """Run one verb of the script: it may run twice, and an urgent one waits for no other. Raises DeviceError."""
        asked, within = question(words), max(deadline or 0.0, self._wire.timeout)
        done = await self._wire.run(asked, deadline=within, again=True, urgent=urgent)
        if done.exit_code == ABSENT:
            put = await self._wire.run(installation(), again=True, urgent=urgent)
            if put.exit_code != 0 or not put.out.startswith("/"):
                raise self._failed("install the job script", put)
            done = await self._wire.run(asked, deadline=within, again=True, urgent=urgent)
        if done.exit_code != 0:
            raise self._failed(attempt, done)
        return done

    def _failed(self, attempt: str, done: Completed) -> Misbehaved:
        said = (done.err.strip() or done.out.strip())[-300:]
        return Misbehaved(
            self._device, attempt, f"exit code {done.exit_code}: {said}", "Check the host's disk and shell.", done.err
        )
