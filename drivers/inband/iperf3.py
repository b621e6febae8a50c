"""What iperf3 transferred: `iperf3 -J` of a client, and the plain text of a one-shot server.

Source: iperf 3.12, src/iperf_api.c (`end`, `sum_*_bidir_reverse`, `error`). It exits 0 with an `error` in its JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.strict_json import number, read_object

TOOL = "iperf3"
_SUMMARY = re.compile(r"\[[ \dSUM]+\]\S*\s+[\d.]+-([\d.]+)\s+sec\s+([\d.]+) ([KMGT]?)Bytes\s.*\b(sender|receiver)\s*$")
_SCALE = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
LONGEST_LINE = 400


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
