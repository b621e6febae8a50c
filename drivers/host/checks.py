"""The tools that a host has for its parts, each run once: drives, PCI Express links, event log, neighbours, counters.

smartctl(8), nvme(1), lspci(8), ipmitool(1), lldpctl(8), ethtool(8), and amd-smi or rocm-smi where there is no
nvidia-smi. All of them only read. What they print is read by `drivers.inband`, output whole to its last newline.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from drivers.inband import (
    ParseError,
    amd_smi,
    ethtool_statistics,
    ipmi_sel,
    lldpctl,
    lspci,
    nvme,
    nvme_health,
    rocm_smi,
    smartctl,
)
from drivers.inband.finding import Finding, Verdict
from drivers.transports.ssh import Completed
from harness.checks import Check, CheckVerdict
from harness.errors import DeviceError, Misbehaved

DEADLINE = 30.0
LOG_DEADLINE = 120.0
"""Wall seconds of one command; a full event log comes through the KCS interface at some ten entries a second."""
MOST_DRIVES = 128
LONGEST_TEXT = 500
NOT_FOUND, NO_STATISTICS = 127, 94
"""Exit statuses of the shell, and of ethtool for an interface that counts nothing (ethtool.c, do_gstats)."""
_ATTEMPT = "look which tools it has"
_END = "that is all"
_VERDICTS = {
    Verdict.FAIL: CheckVerdict.FAIL,
    Verdict.ERROR: CheckVerdict.UNCLEAR,
    Verdict.WARN: CheckVerdict.NOTE,
}
_CLASSES = (
    *("VGA compatible controller", "3D controller", "Display controller", "Processing accelerators"),
    *("Ethernet controller", "Infiniband controller", "Network controller", "Non-Volatile memory controller"),
)
"""Names of PCI classes (pci.ids) whose links are judged; other devices are the board's own."""
_SHARES_A_LINK = "Virtual Function"
"""How pci.ids names an SR-IOV function; its link fields are zero (PCI Express 5.0, 9.3.5.6)."""
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}")
_DRIVE = re.compile(r"/dev/[A-Za-z0-9/_.-]{1,100}")


class Run(Protocol):
    """Runs sh on the host, within so many wall seconds; raises DeviceError."""

    def __call__(self, script: str, deadline: float | None = None, /) -> Awaitable[Completed]: ...


class OwnTools:
    """The tools of one host. `interfaces` are those of its data network."""

    def __init__(self, device: str, run: Run, interfaces: Sequence[str]) -> None:
        self._device = device
        self._run = run
        self._interfaces = interfaces

    async def checks(self) -> tuple[Check, ...]:
        """What every tool says, by tool. A tool that breaks, hangs or garbles is UNCLEAR and leaves the others alone.

        Raises DeviceError where the host does not answer, or answers no tool at all.
        """
        tools: dict[str, Callable[[], Awaitable[list[Check]]]] = {
            "smartctl": self._smartctl,
            "nvme": self._nvme,
            "lspci": self._lspci,
            "ipmitool": self._ipmitool,
            "lldpctl": self._lldpctl,
            "ethtool": self._ethtool,
            "amd-smi": self._amd_smi,
            "rocm-smi": self._rocm_smi,
        }
        installed = await self._installed(("nvidia-smi", *tools))
        if "nvidia-smi" in installed:
            del tools["amd-smi"], tools["rocm-smi"]
        elif "amd-smi" in installed:
            del tools["rocm-smi"]  # it says less of the same accelerators
        asked = [tool for tool in tools if tool in installed]
        answers = dict(zip(asked, await asyncio.gather(*(_attempt(tools[tool]) for tool in asked)), strict=True))
        lost = [answer for answer in answers.values() if isinstance(answer, DeviceError)]
        if lost and len(lost) == len(answers):
            raise lost[0]
        found: list[Check] = []
        for tool in tools:
            answer = answers.get(tool)
            if answer is None:
                found.append(Check(tool, "", CheckVerdict.NOTE, "not installed"))
            else:
                found += [_unclear(tool, "", answer)] if isinstance(answer, Exception) else answer
        return tuple(found)

    async def _installed(self, tools: Iterable[str]) -> frozenset[str]:
        look = f'for t in {" ".join(tools)}; do command -v "$t" >/dev/null 2>&1 && echo "$t"; done; echo "{_END}"'
        done = await self._run(look, DEADLINE)
        lines = done.out.splitlines()
        if not lines or lines[-1] != _END:
            raise Misbehaved(
                self._device, _ATTEMPT, "the answer is cut off", "Log in by hand and look.", done.out[:2000]
            )
        return frozenset(lines[:-1])

    async def _output(self, tool: str, command: str, deadline: float = DEADLINE) -> str:
        """What a command that went well printed; raises ParseError where it did not."""
        done = await self._run(command, deadline)
        if done.exit_code != 0:
            raise ParseError(_failure(tool, done))
        return done.out

    async def _each(
        self, tool: str, units: Sequence[str], look: Callable[[str], Awaitable[list[Check]]]
    ) -> list[Check]:
        """Look at every unit; one that cannot be read is UNCLEAR. Raises where that is a DeviceError for all."""
        answers = await asyncio.gather(*(_attempt(partial(look, unit)) for unit in units))
        lost = [answer for answer in answers if isinstance(answer, DeviceError)]
        if lost and len(lost) == len(answers):
            raise lost[0]
        found: list[Check] = []
        for unit, answer in zip(units, answers, strict=True):
            found += [_unclear(tool, unit, answer)] if isinstance(answer, Exception) else answer
        return found

    async def _smartctl(self) -> list[Check]:
        drives = smartctl.parse_scan(await self._output("smartctl", "smartctl --scan -j", DEADLINE))
        if not drives:
            return [Check("smartctl", "", CheckVerdict.NOTE, "it finds no drive")]
        _bounded("smartctl", [name for name, _ in drives])
        kinds = {f"{name} {kind}".strip(): (name, kind) for name, kind in drives}

        async def look(unit: str) -> list[Check]:
            name, kind = kinds[unit]
            # The kind is its own guess but for a drive behind a controller, whose number it holds.
            option = f" -d {shlex.quote(kind)}" if kind else ""
            done = await self._run(f"smartctl -j -a{option} {shlex.quote(name)}", DEADLINE)
            if not done.out.strip():
                raise ParseError(_failure("smartctl", done))
            drive = smartctl.parse(done.out)
            hours = drive.health.power_on_hours if drive.health else None
            sound = f"{drive.model} {drive.serial}: healthy" + (f", {hours} h" if hours is not None else "")
            return _judged("smartctl", (unit,), smartctl.findings(drive), sound, known_as=unit)

        return await self._each("smartctl", tuple(kinds), look)

    async def _nvme(self) -> list[Check]:
        listed = nvme.parse_list(await self._output("nvme", "nvme list -o json"))
        if not listed:
            return [Check("nvme", "", CheckVerdict.NOTE, "it finds no drive")]
        _bounded("nvme", [each.path for each in listed])
        serials = {each.serial for each in listed if each.serial}
        wrong = nvme.findings(listed, drives=len(serials))

        async def look(unit: str) -> list[Check]:
            health = nvme.parse_smart_log(await self._output("nvme", f"nvme smart-log -o json {shlex.quote(unit)}"))
            found = [each for each in wrong if each.unit == unit] + list(nvme_health.findings(health, unit))
            return _judged("nvme", (unit,), found, f"healthy, {health.percentage_used} % of its life used")

        # One health log a drive, by the first of its namespaces; a namespace that is wrong is told in any case.
        first = {each.serial or each.path: each.path for each in reversed(listed)}
        others = [each for each in wrong if each.unit not in first.values()]
        looked = await self._each("nvme", sorted(first.values()), look)
        return looked + [_check("nvme", each) for each in others]

    async def _lspci(self) -> list[Check]:
        printed = await self._output("lspci", "lspci -vvv -D")
        links = await asyncio.to_thread(lspci.parse, printed)  # it is long, and the interlocks share this loop
        mine = tuple(each for each in links if each.name.startswith(_CLASSES) and _SHARES_A_LINK not in each.name)
        if not mine:
            return [Check("lspci", "", CheckVerdict.NOTE, "no accelerator, adapter or NVMe drive has a link")]
        found: list[Check] = []
        for link in mine:
            sound = f"x{link.width}, {link.speed or 0:g} GT/s: {link.name}"
            found += _judged("lspci", (link.address,), lspci.findings((link,), loaded=False), sound)
        return found

    async def _ipmitool(self) -> list[Check]:
        # The word that the log is empty stands on the standard error.
        entries = ipmi_sel.parse(await self._output("ipmitool", "ipmitool sel elist 2>&1", LOG_DEADLINE))
        sound = f"{len(entries)} entries, none of them a failure"
        return _judged("ipmitool", ("",), ipmi_sel.findings(entries), sound)

    async def _lldpctl(self) -> list[Check]:
        seen = lldpctl.parse(await self._output("lldpctl", "lldpctl -f json0"))
        silent = {each.unit: each for each in lldpctl.findings(seen, cabled=tuple(self._interfaces))}
        # A silent neighbour is for the record: cables are judged by the switch, and LLDP may be off.
        found = [Check("lldpctl", unit, CheckVerdict.NOTE, each.text) for unit, each in silent.items()]
        for each in seen:
            if each.interface not in silent:
                sound = f"{each.system or each.chassis} {each.remote_port}"
                found.append(Check("lldpctl", each.interface, CheckVerdict.OK, sound))
        return found or [Check("lldpctl", "", CheckVerdict.NOTE, "it sees no neighbour")]

    async def _ethtool(self) -> list[Check]:
        if not self._interfaces:
            return [Check("ethtool", "", CheckVerdict.NOTE, "the bay names no interface of the data network")]

        async def look(unit: str) -> list[Check]:
            if not _INTERFACE.fullmatch(unit):
                raise ParseError("no interface is called so: see the bay")
            done = await self._run(f"ethtool -S {unit}", DEADLINE)
            if done.exit_code == NO_STATISTICS:
                return [Check("ethtool", unit, CheckVerdict.NOTE, "it keeps no statistics")]
            if done.exit_code != 0:
                raise ParseError(_failure("ethtool", done))
            counted = ethtool_statistics.parse(done.out)
            # One reading proves no fault: nobody knows what the interface has been through. The soak counts anew.
            zero = ethtool_statistics.Statistics(tuple((name, 0) for name, _ in counted.counters))
            grown = ethtool_statistics.findings(zero, counted, unit)
            notes = [Check("ethtool", unit, CheckVerdict.NOTE, f"{each.text} before intake") for each in grown]
            return [*notes, Check("ethtool", unit, CheckVerdict.OK, f"{len(counted.counters)} counters read")]

        return await self._each("ethtool", tuple(self._interfaces), look)

    async def _amd_smi(self) -> list[Check]:
        described = amd_smi.parse_static(await self._output("amd-smi", "amd-smi static --json"))
        measured = amd_smi.parse_metric(await self._output("amd-smi", "amd-smi metric --json"))
        units = [f"GPU {each.gpu}" for each in described]
        found = amd_smi.findings(measured, gpus=len(described), described=described)
        return _judged("amd-smi", units, found, "no memory or link error")

    async def _rocm_smi(self) -> list[Check]:
        cards = rocm_smi.parse(await self._output("rocm-smi", "rocm-smi -a --json"))
        units = [f"card{each.number}" for each in cards.cards]
        found = list(rocm_smi.findings(cards, cards=len(units)))
        found.append(Finding(Verdict.ERROR, "", "it states no memory errors: install amd-smi"))
        return _judged("rocm-smi", units, found, "no link error")


async def _attempt(ask: Callable[[], Awaitable[list[Check]]]) -> list[Check] | DeviceError | ParseError:
    try:
        return await ask()
    except (DeviceError, ParseError) as error:
        return error


def _judged(
    tool: str, units: Sequence[str], findings: Sequence[Finding], sound: str, *, known_as: str = ""
) -> list[Check]:
    """The findings, and OK for every unit against which nothing speaks; `known_as` names the unit of all findings."""
    found = [_check(tool, each, known_as) for each in findings]
    bad = {each.unit for each in found if each.verdict in (CheckVerdict.FAIL, CheckVerdict.UNCLEAR)}
    # An entry of a log is about a sensor, and the log is the unit: whatever is in it, it is not sound.
    whole = tuple(units) == ("",)
    good = [] if bad and whole else [unit for unit in units if unit not in bad]
    return [*found, *(Check(tool, unit, CheckVerdict.OK, sound[:LONGEST_TEXT]) for unit in good)]


def _check(tool: str, finding: Finding, known_as: str = "") -> Check:
    return Check(tool, known_as or finding.unit, _VERDICTS[finding.verdict], finding.text[:LONGEST_TEXT])


def _unclear(tool: str, unit: str, error: Exception) -> Check:
    return Check(tool, unit, CheckVerdict.UNCLEAR, str(error)[:LONGEST_TEXT])


def _failure(tool: str, done: Completed) -> str:
    said = " ".join((done.err.strip() or done.out.strip()).split())[:300]
    return f"{tool}: exit code {done.exit_code}: {said or 'it says nothing'}"


def _bounded(tool: str, paths: Sequence[str]) -> None:
    """Raise ParseError where what it lists cannot be drives of one host."""
    odd = [path for path in paths if not _DRIVE.fullmatch(path)]
    if odd or len(paths) > MOST_DRIVES:
        raise ParseError(f"{tool}: {odd[0]!r:.80} is no drive" if odd else f"{tool}: {len(paths)} drives")
