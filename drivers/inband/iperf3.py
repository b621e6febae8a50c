"""What iperf3 transferred: `iperf3 -J` of a client, and the plain text of a one-shot server.

Seen: 3.12, recorded and run, TCP one way and both ways, UDP, refused. Source: iperf 3.12, src/iperf_api.c (`end`,
`sum_*_bidir_reverse`, `error`). It exits 0 with an `error` in its JSON. Units: octets, seconds, bit/s, ms of jitter.
What arrived counts, not what was sent. Retransmits and lost datagrams are of the direction in which they were counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError, fields
from drivers.inband.finding import Finding, Verdict
from drivers.inband.strict_json import number, read_object

TOOL = "iperf3"
_SUMMARY = re.compile(r"\[[ \dSUM]+\]\S*\s+[\d.]+-([\d.]+)\s+sec\s+([\d.]+) ([KMGT]?)Bytes\s.*\b(sender|receiver)\s*$")
_SCALE = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
LONGEST_LINE = 400
LONGEST = 4 * 2**20
"""Of a server's text."""
_EARLY = 0.9
"""Part of the time asked for that a run must have lasted."""
_LOSS_SLACK = 0.1
"""Percent; `lost_percent` and the counts beside it are one fact."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Octets that arrived, there (`out`) and here (`back`), in `seconds`; `error` is the tool's own, else empty."""

    seconds: float
    out: float
    back: float
    error: str = ""

    @property
    def octets(self) -> float:
        """Octets in both directions."""
        return self.out + self.back


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction. `octets` and `rate` (bit/s) are what arrived in `seconds`; None where it is not counted there.

    `retransmits` TCP segments; `lost` of `packets` datagrams and `jitter` (ms) of UDP.
    """

    octets: int
    seconds: float
    rate: float
    retransmits: int | None = None
    packets: int | None = None
    lost: int | None = None
    jitter: float | None = None

    @property
    def loss(self) -> float | None:
        """Datagrams lost in percent; None where none were counted."""
        return 100.0 * self.lost / self.packets if self.packets and self.lost is not None else None


@dataclass(frozen=True, slots=True)
class Run:
    """A client's run: `there` towards the server (with `-R` from it), `back` the other way of `--bidir`, else None."""

    version: str
    protocol: str
    seconds: float | None
    """As asked for, None where it was not asked by time."""
    streams: int | None
    there: Flow | None
    back: Flow | None
    error: str = ""


def parse(text: str) -> Run:
    """A client's run of any kind from `iperf3 -c … -J`; raises ParseError where a direction contradicts itself."""
    found = read_object(text, TOOL)
    start, end = fields.section(found, "start", TOOL) or {}, fields.section(found, "end", TOOL) or {}
    asked = fields.section(start, "test_start", TOOL) or {}
    protocol, version = fields.text(asked, "protocol", TOOL), fields.text(start, "version", TOOL)
    seconds, streams = fields.real(asked, "duration", TOOL), fields.count(asked, "num_streams", TOOL)
    if "error" in found:
        error = str(found["error"]) or "an error without a text"
        return Run(version, protocol, seconds or None, streams, None, None, error)
    if protocol not in ("TCP", "UDP"):
        raise ParseError(f"{TOOL}: neither TCP nor UDP was tested, or the output is no client's")
    both = bool(fields.count(asked, "bidir", TOOL)) or "sum_received_bidir_reverse" in end
    back = _flow(end, "_bidir_reverse", protocol) if both else None
    return Run(version, protocol, seconds or None, streams, _flow(end, "", protocol), back)


def _flow(end: dict[str, object], suffix: str, protocol: str) -> Flow:
    arrived, sent = fields.section(end, f"sum_received{suffix}", TOOL), fields.section(end, f"sum_sent{suffix}", TOOL)
    octets = fields.count(arrived, "bytes", TOOL)
    if octets is None:
        raise ParseError(f"{TOOL}: there is no sum of what arrived")
    seconds, rate = number(arrived, "seconds", TOOL), number(arrived, "bits_per_second", TOOL)
    if abs(rate * seconds - octets * 8) > 0.01 * octets * 8 + 8:
        raise ParseError(f"{TOOL}: {octets} octets in {seconds} s are not {rate} bit/s")
    if protocol == "TCP":
        return Flow(octets, seconds, rate, fields.count(sent, "retransmits", TOOL))
    counted = fields.section(end, f"sum{suffix}", TOOL) or arrived
    packets, lost = fields.count(counted, "packets", TOOL), fields.count(counted, "lost_packets", TOOL)
    percent = fields.real(counted, "lost_percent", TOOL)
    if packets is None or lost is None or lost > packets:
        raise ParseError(f"{TOOL}: {lost} of {packets} datagrams lost")
    flow = Flow(octets, seconds, rate, None, packets, lost, number(counted, "jitter_ms", TOOL))
    if percent is None or abs((flow.loss or 0.0) - percent) > _LOSS_SLACK:
        raise ParseError(f"{TOOL}: {lost} of {packets} datagrams are not {percent} %")
    return flow


def findings(
    run: Run, *, at_least: float = 0.0, loss: float | None = None, retransmits: int | None = None
) -> tuple[Finding, ...]:
    """Less than `at_least` bit/s, more than `loss` percent or `retransmits` is FAIL; an error or no work is ERROR."""
    if run.error:
        return (Finding(Verdict.ERROR, "", run.error),)
    found = []
    for name, flow in {"there": run.there, "back": run.back}.items():
        if flow is None:
            continue
        if flow.octets and run.seconds is not None and flow.seconds < run.seconds * _EARLY:
            found.append(Finding(Verdict.ERROR, name, f"it ran {flow.seconds:.1f} s of {run.seconds:.0f} s"))
        found += _judge(name, flow, at_least, loss, retransmits)
    return tuple(found)


def _judge(name: str, flow: Flow, at_least: float, loss: float | None, retransmits: int | None) -> list[Finding]:
    if not flow.octets:
        return [Finding(Verdict.ERROR, name, "nothing arrived")]
    found = []
    if flow.rate < at_least:
        text = f"{flow.rate / 1e9:.2f} Gbit/s, at least {at_least / 1e9:.2f} wanted"
        found.append(Finding(Verdict.FAIL, name, text))
    if loss is not None and flow.loss is None:
        found.append(Finding(Verdict.ERROR, name, "no datagrams were counted: was it to be UDP?"))
    elif loss is not None and flow.loss is not None and flow.loss > loss:
        found.append(Finding(Verdict.FAIL, name, f"{flow.lost} of {flow.packets} datagrams lost, {loss} % allowed"))
    if retransmits is not None and flow.retransmits is None:
        found.append(Finding(Verdict.ERROR, name, "retransmits were not counted"))
    elif retransmits is not None and flow.retransmits is not None and flow.retransmits > retransmits:
        found.append(Finding(Verdict.FAIL, name, f"{flow.retransmits} retransmits, {retransmits} allowed"))
    return found


def parse_client(text: str) -> Transfer:
    """The result of `iperf3 -c … --bidir -J`; raises ParseError where a direction is missing."""
    found = read_object(text, TOOL)
    if "error" in found:
        return Transfer(0.0, 0.0, 0.0, str(found["error"]) or "an error without a text")
    end = found.get("end")
    if not isinstance(end, dict):
        raise ParseError(f"{TOOL}: there is no result")
    there, here = end.get("sum_received"), end.get("sum_received_bidir_reverse")
    return Transfer(
        seconds=number(there, "seconds", TOOL), out=number(there, "bytes", TOOL), back=number(here, "bytes", TOOL)
    )


def parse_server(text: str) -> Transfer:
    """The result of `iperf3 -s -1` from its last lines; amounts are rounded as printed. Raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than a server prints for one client")
    error = next((line for line in text.splitlines() if line.startswith("iperf3: error")), "")
    if error:
        return Transfer(0.0, 0.0, 0.0, error.removeprefix("iperf3: error").strip(" -") or "an error without a text")
    totals = [found for line in text.splitlines() if (found := _SUMMARY.match(line.strip()[:LONGEST_LINE]))]
    sums = [found for found in totals if found.group(0).startswith("[SUM]")] or totals
    if not sums:
        raise ParseError(f"{TOOL}: the server printed no summary")
    amounts = {"sender": 0.0, "receiver": 0.0}
    for each in sums:
        amounts[each.group(4)] += _plain(each.group(2)) * _SCALE[each.group(3)]
    return Transfer(max(_plain(each.group(1)) for each in sums), out=amounts["sender"], back=amounts["receiver"])


def _plain(digits: str) -> float:
    try:
        return float(digits)
    except ValueError as error:
        raise ParseError(f"{TOOL}: {digits!r} is no number") from error
