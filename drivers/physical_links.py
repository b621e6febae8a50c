"""Links below the packets, by the shell of a switch or a host: what the kernel, the firmware or EOS counts of them.

Dialects: `ethtool` (settings, FEC statistics and module of each interface, as the kernel has them), `mlxlink` (the same
and the firmware's bit error ratios beside it), `eos` (`show interfaces phy detail`). Counters of one port belong
together while its epoch stands: it holds the boot, and goes on wherever a counter has fallen.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from drivers.inband import ParseError, eos_phy, ethtool_fec, ethtool_module, ethtool_settings, mlxlink
from drivers.inband.strict_json import number, read_object
from drivers.points import reading_of
from drivers.transports.ssh import Completed, SshWire
from harness.errors import DeviceError, Misbehaved, Refused, Unsupported
from harness.physical import Lane, PhysicalLink
from harness.quantities import Unit

DIALECTS = ("ethtool", "mlxlink", "eos")
DEADLINE = 60.0
"""Wall seconds for all ports: reading a module takes up to half a second."""
_NOT_FOUND = 127
_ABSENT = re.compile(r"not supported|no such device|no module|invalid argument|input/output error", re.IGNORECASE)
"""How ethtool says that an interface has no such thing; a module that cannot be read is none either."""
_FORBIDDEN = re.compile(r"not permitted|permission denied", re.IGNORECASE)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,63}")
_SWITCH_PORT = re.compile(r"swp(\d{1,3})(?:s(\d))?")
_BOOT = re.compile(r"[0-9a-f-]{36}\s*")
# Each answer stands between marks of this reading's own, its errors behind it, so that none can be taken for another.
_SCRIPT = """
PATH="${PATH:-/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin"; export PATH; LC_ALL=C; export LC_ALL
ask() {
    echo "MARK $1 $2"; shift 2
    { said=$("$@" 2>&1 1>&3 3>&-); code=$?; } 3>&1
    echo "MARK $code"; echo "$said"
}
"""
_COMMANDS = {
    "counted": "cat /sys/class/net/{name}/ifindex /sys/class/net/{name}/carrier_down_count",
    "settings": "ethtool {name}",
    "fec": "ethtool -I --show-fec {name}",
    "module": "ethtool -m {name}",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one tool said of one port."""

    code: int
    out: str
    err: str


class LinkReader:
    """Reads links over one SSH connection, which it opens itself where nobody else does (`opens`).

    `mst` is mlxlink's name of a switch; a host's adapters are found by their interfaces.
    """

    def __init__(
        self,
        device: str,
        wire: SshWire,
        dialect: str,
        now: Callable[[], datetime],
        *,
        mst: str = "",
        opens: bool = True,
    ) -> None:
        self._device = device
        self._wire = wire
        self._dialect = dialect
        self._now = now
        self._mst = mst
        self._opens = opens
        self._epochs = Epochs()

    async def read(self, interfaces: Sequence[str]) -> tuple[PhysicalLink, ...]:
        """These interfaces, in this order; one that the device does not know has nothing but its name.

        Raises DeviceError; Misbehaved where an answer is not what the tool prints, whatever the others are.
        """
        if self._opens:
            await self._wire.open()
        if self._dialect == "eos":
            found = await self._read_eos(interfaces)
        else:
            found = await self._read_linux(interfaces)
        return tuple(self._epochs.dated(each) for each in found)

    async def close(self) -> None:
        """Hang up, where it opened the connection itself; never raises."""
        if self._opens:
            await self._wire.close()

    async def _read_linux(self, interfaces: Sequence[str]) -> list[PhysicalLink]:
        mark = f"rackproof-{secrets.token_hex(8)}"
        lines = ["ask boot - cat /proc/sys/kernel/random/boot_id"]
        for name in interfaces:
            if not _INTERFACE.fullmatch(name):
                raise Unsupported(self._device, f"read the link {name!r}", "no interface is called so", "See the bay.")
            lines += [f"ask {what} {name} {each.format(name=shlex.quote(name))}" for what, each in _COMMANDS.items()]
            if self._dialect == "mlxlink":
                lines.append(f"ask mlxlink {name} {self._mlxlink(name)}")
        script = "\n".join([_SCRIPT, *lines, "echo MARK end"]).replace("MARK", mark)
        done = await self._wire.run(f"/bin/sh -c {shlex.quote(script)}", deadline=DEADLINE, again=True)
        answers = self._answers(done, mark)
        boot = answers.get(("boot", "-"), Answer(1, "", "")).out
        if not _BOOT.fullmatch(boot):
            raise self._garbled("read its boot", "there is no boot_id", done.out)
        return [self._linux_link(name, answers, boot.strip()) for name in interfaces]

    def _mlxlink(self, name: str) -> str:
        if not self._mst:
            # By PCI address, which is the name of what the interface's device links to.
            found = f"basename $(readlink -e /sys/class/net/{name}/device || echo {name})"
            return f"mlxlink -d $({found}) --json -c"
        port = _SWITCH_PORT.fullmatch(name)
        if port is None:
            advice = "Choose the dialect ethtool for this switch"
            raise Unsupported(self._device, f"read {name}", "mlxlink knows ports by number: swp3, swp3s1", advice)
        number = port[1] if port[2] is None else f"{port[1]}/{int(port[2]) + 1}"
        return f"mlxlink -d {shlex.quote(self._mst)} -p {number} --json -c"

    def _answers(self, done: Completed, mark: str) -> Mapping[tuple[str, str], Answer]:
        """By question and interface; raises Misbehaved unless the last one is whole."""
        pieces = done.out.split(f"{mark} ")
        if done.exit_code != 0 or pieces[0] or pieces[-1] != "end\n" or len(pieces) % 2:
            said = (done.err or done.out).strip()[-200:]
            raise self._garbled("read its links", f"exit code {done.exit_code}: {said or 'nothing'}", done.out)
        found = {}
        for question, outcome in zip(pieces[1:-1:2], pieces[2:-1:2], strict=True):
            about, _, out = question.partition("\n")
            code, _, err = outcome.partition("\n")
            what, _, name = about.partition(" ")
            found[what, name] = Answer(int(code), out, err.strip())
        return found

    def _linux_link(self, name: str, answers: Mapping[tuple[str, str], Answer], boot: str) -> PhysicalLink:
        now = self._now()
        try:
            link = PhysicalLink(name, up=None, speed=None, fec="", epoch=boot)
            settings = self._said(answers["settings", name])
            if settings is None:
                return replace(link, epoch="")
            seen = ethtool_settings.parse(settings)
            speed = None if seen.speed is None else reading_of(seen.speed, Unit.GIGABIT_PER_SECOND, now)
            counted = answers["counted", name].out.split()
            link = replace(link, up=seen.up, speed=speed, epoch=".".join([boot, *counted[:1]]), downs=_downs(counted))
            fec = self._said(answers["fec", name])
            if fec is not None:
                link = _with_fec(link, ethtool_fec.parse(fec))
            module = self._said(answers["module", name])
            if module is not None:
                read = ethtool_module.parse(module)
                link = replace(link, transceiver=ethtool_module.transceiver(read, now))
                link = replace(link, lanes=ethtool_module.lanes(read, now))
            if self._dialect == "mlxlink":
                link = _with_firmware(link, mlxlink.parse(self._mlxlink_said(answers["mlxlink", name])))
        except ParseError as error:
            exchange = "\n".join(each.out for (_, of), each in answers.items() if of == name)
            raise self._garbled(f"read the link {name}", str(error), exchange) from error
        return link

    def _said(self, answer: Answer) -> str | None:
        """What ethtool printed; None where the interface has no such thing."""
        if answer.code == 0:
            return answer.out
        if answer.code != _NOT_FOUND and _ABSENT.search(answer.err):
            return None
        raise self._failed("ethtool", answer)

    def _mlxlink_said(self, answer: Answer) -> str:
        # It fails with coloured text on its standard output, which is no JSON: the parser says so.
        if answer.code == _NOT_FOUND or _FORBIDDEN.search(answer.err):
            raise self._failed("mlxlink", answer)
        return answer.out

    def _failed(self, tool: str, answer: Answer) -> DeviceError:
        said = f"exit code {answer.code}: {answer.err[:300]}"
        if answer.code == _NOT_FOUND:
            return Unsupported(self._device, f"ask {tool}", f"there is no {tool}", f"Install {tool} there.")
        if _FORBIDDEN.search(answer.err):
            return Refused(self._device, f"ask {tool}", said, "Let this user run it: it reads links as root only.")
        return Misbehaved(self._device, f"ask {tool}", said, "Run it by hand there.", answer.out[:2000])

    async def _read_eos(self, interfaces: Sequence[str]) -> list[PhysicalLink]:
        attempt = "show interfaces phy detail"
        version = await self._wire.run("show version | json", again=True)
        shown = await self._wire.run(attempt, deadline=DEADLINE, again=True)
        try:
            started = number(read_object(version.out, "show version"), "bootupTimestamp", "show version")
            ports = {port.name: port for port in eos_phy.parse(shown.out)}
        except ParseError as error:
            raise self._garbled(attempt, str(error), f"{version.out}\n{shown.out}") from error
        boot = self._epochs.boot(started)
        return [_eos_link(name, ports.get(name), boot, self._now()) for name in interfaces]

    def _garbled(self, attempt: str, seen: str, exchange: str) -> Misbehaved:
        return Misbehaved(self._device, attempt, seen, "Run the tool by hand there.", exchange[:4000])


class Epochs:
    """Tells whether counters read at two times belong together: they do not where one has fallen or vanished."""

    SKEW = 10.0
    """Seconds by which a switch may give the instant of its own start differently each time."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, tuple[int | None, ...]]] = {}
        self._started: float | None = None

    def boot(self, started: float) -> str:
        """A token for the instant of a start, the same while it is given alike."""
        if self._started is None or abs(started - self._started) > self.SKEW:
            self._started = started
        return f"{self._started:.0f}"

    def dated(self, link: PhysicalLink) -> PhysicalLink:
        """The link with its generation behind its epoch."""
        counters = (link.corrected, link.uncorrectable, link.symbol_errors, link.downs, link.recoveries, *link.bins)
        generation, before = self._seen.get(link.port, (0, counters))
        fallen = any(old is not None and (new is None or new < old) for old, new in zip(before, counters, strict=False))
        generation += fallen or len(before) != len(counters)
        self._seen[link.port] = generation, counters
        return replace(link, epoch=f"{link.epoch}.{generation}")


def _downs(counted: Sequence[str]) -> int | None:
    """carrier_down_count (Linux 4.16, Documentation/ABI/testing/sysfs-class-net); None where there is none."""
    return int(counted[1]) if len(counted) == 2 and counted[1].isdigit() else None


def _with_fec(link: PhysicalLink, fec: ethtool_fec.Fec) -> PhysicalLink:
    if fec.interface != link.port:
        raise ParseError(f"{ethtool_fec.TOOL}: it is about {fec.interface}")
    return replace(
        link,
        fec=fec.scheme,
        corrected=None if fec.corrected is None else fec.corrected.total,
        uncorrectable=None if fec.uncorrectable is None else fec.uncorrectable.total,
        bins=fec.bins,
    )


def _with_firmware(link: PhysicalLink, port: mlxlink.MlxPort) -> PhysicalLink:
    """What the firmware knows beside the kernel: it names the code, and states ratios."""
    lanes = {lane.number: lane for lane in link.lanes}
    for at, each in enumerate(port.lanes):
        lanes[at] = replace(lanes.get(at, Lane(at)), raw_errors=each.raw_errors, raw_ber=each.raw_ber)
    return replace(
        link,
        up=port.up if link.up is None or port.up is None else link.up and port.up,
        fec=port.scheme or link.fec,
        symbol_errors=port.symbol_errors,
        raw_ber=port.raw_ber,
        effective_ber=port.effective_ber,
        symbol_ber=port.symbol_ber,
        downs=port.downs if port.downs is not None else link.downs,
        recoveries=port.recoveries,
        lanes=tuple(lanes[at] for at in sorted(lanes)),
    )


def _eos_link(name: str, port: eos_phy.EosPort | None, boot: str, now: datetime) -> PhysicalLink:
    if port is None:
        return PhysicalLink(name, up=None, speed=None, fec="", epoch="")
    return PhysicalLink(
        name,
        up=port.up,
        speed=None if port.speed is None else reading_of(port.speed, Unit.GIGABIT_PER_SECOND, now),
        fec=port.fec,
        epoch=boot,
        corrected=port.corrected,
        uncorrectable=port.uncorrectable,
        downs=port.downs,
    )
