"""What kernel and firmware lines mean for a new rack: one severity a line, for kernel logs and consoles alike.

Sources: Linux kernel/panic.c, kernel/watchdog.c, kernel/hung_task.c, arch/x86/kernel/cpu/mce, drivers/edac,
drivers/firmware/efi/cper.c ("[Hardware Error]"), drivers/pci/pcie/aer.c, drivers/nvme/host; NVIDIA's Xid catalogue of
2025-10-29.
"""

from __future__ import annotations

import re

from harness.capabilities import Severity

XID = re.compile(r"NVRM: Xid \((?:PCI:)?[0-9a-fA-F:.]+\)[^:]{0,80}: (\d{1,6})\b")
SXID = re.compile(r"SXid \((?:PCI:)?[0-9a-fA-F:.]+\): \d{1,6}, (\w+)")

RECORDED_XIDS = frozenset({45, 63, 154, 155})
"""Followers of an earlier event, a row remapping, advice what to reset: kept as warnings. Every other one is critical,
unknown ones included: on a new part under a known-good load none is expected."""
NONFATAL_XIDS = frozenset(range(144, 151))
"""NVLink 5 events; they say themselves whether they are fatal."""

_CRITICAL = (
    r"Kernel panic",
    r"\bOops\b[:\s]",
    r"\bBUG: ",
    r"general protection fault",
    r"Unable to handle kernel",
    r"soft lockup",
    r"hard LOCKUP|Hard LOCKUP|hard lockup",
    r"rcu\w*: .*detected stall|self-detected stall",
    r"blocked for more than \d+ seconds",
    r"\[Hardware Error\]",
    r"\bmce: .*(?:Machine check|CPU \d+: Machine Check)|Machine Check Exception",
    r"EDAC .*\bUE\b",
    r"AER: .*(?:\bFatal\b|Uncorrect(?:ed|able) \(Fatal\))|severity=(?:Uncorrected|Uncorrectable) \(Fatal\)",
    r"fallen off the bus",
    r"invoked oom-killer|Out of memory: Kill",
    r"Remounting filesystem read-only",
    r"nvme nvme\d+: .*(?:timeout, reset controller|timeout, completion polled|Disabling device after reset failure)",
    r"nvme nvme\d+: .*timeout, aborting",
    r"insufficient power on the PCIe slot",
    r"Port module event.*High Temperature",
    r"firmware assert|FW assert|assert_var\[|health compromised",
    r"ASSERT(?: failed|_EFI_ERROR|\s*\[)|Assertion failed",
    r"!!!! (?:X64|AArch64|IA32) Exception|Synchronous Exception at",
)
_WARNING = (
    r"AER: .*(?:Corrected|Correctable)|severity=Corrected",
    r"EDAC .*\bCE\b",
    r"available PCIe bandwidth, limited by",
    r"Link is Down",
    r"Call Trace:",
    r"WARNING: CPU: \d+",
)
_CRITICAL_LINE = re.compile("|".join(f"(?:{each})" for each in _CRITICAL))
_WARNING_LINE = re.compile("|".join(f"(?:{each})" for each in _WARNING))
LONGEST_LINE = 4096


def severity_of(line: str) -> Severity:
    """What one line reports; OK where it is none of the events known to matter."""
    line = line[:LONGEST_LINE]
    xid = XID.search(line)
    if xid is not None:
        return _of_xid(int(xid.group(1)), line)
    switch = SXID.search(line)
    if switch is not None:
        return Severity.WARNING if switch.group(1) == "Non" or "Non-fatal" in line else Severity.CRITICAL
    if _CRITICAL_LINE.search(line):
        return Severity.CRITICAL
    return Severity.WARNING if _WARNING_LINE.search(line) else Severity.OK


def _of_xid(code: int, line: str) -> Severity:
    if code in RECORDED_XIDS or (code in NONFATAL_XIDS and " Nonfatal " in line):
        return Severity.WARNING
    return Severity.CRITICAL
