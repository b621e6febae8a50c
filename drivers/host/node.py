"""One compute host, in-band over SSH: who it is, its accelerators, its kernel log, and the loads it runs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from drivers.host.accelerators import describe, quantity
from drivers.host.checks import OwnTools
from drivers.host.jobs import Jobs
from drivers.host.kernel_log import KernelLog
from drivers.inband import ParseError, nvidia_smi, nvlink
from drivers.physical_links import LinkReader
from drivers.transports.ssh import Completed, SshWire
from harness.capabilities import Accelerator, Identified, LogEntry
from harness.checks import Check
from harness.errors import Misbehaved, Unsupported
from harness.physical import PhysicalLink
from harness.quantities import Channel, Reading, Sample, Unit
from harness.workload import Job, Load, Output

POLLING_FLOOR = 0.5
"""Wall seconds."""
NOT_FOUND = 127
PATHS = (
    'PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"; export PATH; LC_ALL=C; export LC_ALL'
)
"""A login without a terminal finds no /usr/sbin; what comes first in the host's own PATH stays first."""
_DMI = {
    "manufacturer": ("system-manufacturer", "sys_vendor"),
    "model": ("system-product-name", "product_name"),
    "part_number": ("system-sku-number", "product_sku"),
    "serial": ("system-serial-number", "product_serial"),
    "firmware": ("bios-version", "bios_version"),
}
"""What we ask, as dmidecode calls it (it needs root), and as sysfs does."""
_UNSAID = frozenset({"", "none", "n/a", "not specified", "to be filled by o.e.m.", "default string", "unknown"})


class Host:
    """A Linux host. Its accelerators are named by their order on the PCI bus when it was opened."""

    def __init__(
        self,
        device: str,
        wire: SshWire,
        jobs: Jobs,
        now: Callable[[], datetime],
        lease: float,
        *,
        links: LinkReader,
        interfaces: tuple[str, ...],
    ) -> None:
        self._device = device
        self._wire = wire
        self._jobs = jobs
        self._now = now
        self._lease = lease
        self._links = links
        self._interfaces = interfaces
        self._log = KernelLog(device, self._run, now)
        self._tools = OwnTools(device, self._run, interfaces)
        self._seats: dict[str, str] = {}
        """PCI address to accelerator."""

    @property
    def device(self) -> str:
        return self._device

    @property
    def polling_floor(self) -> float:
        return POLLING_FLOOR

    @property
    def lease(self) -> float:
        return self._lease

    async def open(self) -> None:
        """Log in and learn which accelerators the host sees; one that sees none is no error here."""
        await self._wire.open()
        try:
            gpus = await self._gpus()
        except (Misbehaved, Unsupported):
            gpus = ()  # `accelerators()` says so, and there is no channel that could look healthy
        ordered = sorted(gpus, key=lambda gpu: gpu.bus)
        self._seats = {gpu.bus: f"accelerator-{number}" for number, gpu in enumerate(ordered)}

    async def close(self) -> None:
        """Hang up; never raises. Loads go on until their lease is over."""
        await self._wire.close()

    async def identify(self) -> Identified:
        """Who the host says it is (SMBIOS, DSP0134, 7.2); host name and kernel stand in for model and firmware."""
        asked = [
            f'v=$(dmidecode -s {key} 2>/dev/null | grep -v "^#" | head -n 1); '
            f'[ -n "$v" ] || v=$(cat /sys/class/dmi/id/{file} 2>/dev/null); echo "{field}=$v"'
            for field, (key, file) in _DMI.items()
        ]
        named = 'v=$(hostname 2>/dev/null); echo "name=${v:-$(uname -n)}"; echo "kernel=$(uname -r)"'
        done = await self._run("; ".join([*asked, named]))
        told = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        said = {key: "" if told.get(key, "").strip().lower() in _UNSAID else told[key].strip() for key in _DMI}
        return Identified(
            manufacturer=said["manufacturer"],
            model=said["model"] or told.get("name", ""),
            part_number=said["part_number"],
            serial=said["serial"],
            firmware=said["firmware"] or told.get("kernel", ""),
        )

    async def accelerators(self) -> Sequence[Accelerator]:
        """Every accelerator seen now or when the host was opened; one that has vanished has no good reading."""
        gpus, now = await self._gpus(), self._now()
        seats = dict(self._seats)
        for bus in sorted({gpu.bus for gpu in gpus} - set(seats)):
            seats[bus] = f"accelerator-{len(seats)}"
        return describe(seats, gpus, await self._peer_links() if gpus else None, now)

    async def _peer_links(self) -> tuple[nvlink.Linked, ...] | None:
        """The links between accelerators; None where this driver or these accelerators have none."""
        done = await self._run("nvidia-smi nvlink -s 2>&1")
        try:
            return nvlink.parse_status(done.out) if done.exit_code == 0 else None
        except ParseError as error:
            raise self._garbled("read the links between accelerators", error, done) from error

    async def entries(self) -> Sequence[LogEntry]:
        """The kernel log of the present boot. An entry's identity holds the boot, so a restart brings new ones."""
        return await self._log.read()

    async def checks(self) -> Sequence[Check]:
        """What its own tools say of its drives, links, event log, neighbours and counters."""
        return await self._tools.checks()

    async def physical_links(self) -> Sequence[PhysicalLink]:
        """The interfaces of its data network (those the bay gives addresses) below the packets, by name."""
        return await self._links.read(self._interfaces)

    def channels(self) -> Sequence[Channel]:
        """The channels, fixed after `open`."""
        kinds = (
            ("accelerator.ecc.uncorrected", Unit.COUNT),
            ("accelerator.power", Unit.WATT),
            ("accelerator.temperature", Unit.CELSIUS),
        )
        return tuple(Channel(self._device, kind, unit, name) for kind, unit in kinds for name in self._seats.values())

    async def sample(self) -> Sequence[Sample]:
        """Read every channel once; what the tool does not say is BAD. Raises where the host does not answer."""
        channels = self.channels()
        if not channels:
            return ()
        try:
            gpus = {self._seats.get(gpu.bus, ""): gpu for gpu in await self._gpus()}
        except (Misbehaved, Unsupported):
            gpus = {}
        now = self._now()
        return tuple(Sample(channel, _reading(channel, gpus, now)) for channel in channels)

    async def start(self, load: Load) -> Job:
        """Start a load, or find it running; one that has ended is put aside and started anew."""
        return await self._jobs.start(load)

    async def start_once(self, load: Load) -> Job:
        """Start a load unless it was ever started here: whoever was interrupted finds it, running or ended."""
        return await self._jobs.start_once(load)

    async def job(self, name: str) -> Job:
        """What became of a load so far."""
        return await self._jobs.job(name)

    async def jobs(self) -> Sequence[Job]:
        """Every load of which the host has a record, by name, without outcomes."""
        return await self._jobs.jobs()

    async def stop(self, name: str) -> Job:
        """Kill a load; returns once nothing of it is left."""
        return await self._jobs.stop(name)

    async def stop_all(self) -> Sequence[Job]:
        """Kill every load that Rackproof ever started here."""
        return await self._jobs.stop_all()

    async def output(self, name: str, since: int = 0) -> Output:
        """A piece of what a load has printed; see `harness.workload.WorkloadOutput`."""
        return await self._jobs.output(name, since)

    async def clean_up(self) -> Sequence[str]:
        """Stop every load and remove all that was put on the host; see `harness.workload.CleanUp`."""
        return await self._jobs.clean_up()

    async def renew(self) -> None:
        """Extend the lease of all running loads."""
        await self._jobs.renew()

    async def _run(self, script: str, deadline: float | None = None) -> Completed:
        """Run sh on the host, within the wire's deadline or that many wall seconds; only for what may run twice."""
        return await self._wire.run(f"/bin/sh -c {shlex.quote(f'{PATHS}; {script}')}", deadline=deadline, again=True)

    async def _gpus(self) -> tuple[nvidia_smi.Gpu, ...]:
        attempt = "ask nvidia-smi"
        done = await self._run("nvidia-smi -q -x")
        if done.exit_code == NOT_FOUND:
            raise Unsupported(self._device, attempt, "the host has no nvidia-smi", "Install the accelerator's driver.")
        if done.exit_code != 0:
            said = (done.err or done.out).strip()[:300]
            raise Misbehaved(
                self._device,
                attempt,
                f"exit code {done.exit_code}: {said}",
                "Read the kernel log for Xid.",
                done.out[:2000],
            )
        try:
            return nvidia_smi.parse(done.out)
        except ParseError as error:
            raise self._garbled(attempt, error, done) from error

    def _garbled(self, attempt: str, error: ValueError, done: Completed) -> Misbehaved:
        return Misbehaved(self._device, attempt, str(error), "Run the tool by hand on the host.", done.out[:2000])


def _reading(channel: Channel, gpus: Mapping[str, nvidia_smi.Gpu], now: datetime) -> Reading:
    gpu = gpus.get(channel.part)
    if gpu is None:
        return quantity(None, channel.unit, now)
    if channel.quantity == "accelerator.temperature":
        return quantity(gpu.temperature, channel.unit, now)
    return quantity(gpu.power if channel.quantity == "accelerator.power" else gpu.ecc_uncorrected, channel.unit, now)
