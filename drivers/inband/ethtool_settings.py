"""Whether a link is up, and its speed: `ethtool IFACE`.

Source: ethtool.c and netlink/settings.c (5.12 … 6.15). Some of it is for root only, and then left out; a speed that the
driver does not know is `Unknown!`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.inband import ParseError

TOOL = "ethtool"
_HEAD = re.compile(r"Settings for (\S{1,64}):")
_SPEED = re.compile(r"(\d{1,9})Mb/s(?: .{0,80})?")
_LINK = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Settings:
    """One interface. `speed` in Gbit/s; None where it is not known, as on a link that is down."""

    interface: str
    up: bool | None
    speed: float | None


def parse(text: str) -> Settings:
    """What the tool printed for one interface; raises ParseError where it is cut off or says two things of one."""
    if not text.endswith("\n"):
        raise ParseError(f"{TOOL}: the output is empty or its last line is cut off")
    lines = text.splitlines()
    head = _HEAD.fullmatch(lines[0].strip())
    if head is None:
        raise ParseError(f"{TOOL}: it does not begin with an interface: {lines[0][:80]!r}")
    speed, link = _only(lines, "Speed"), _only(lines, "Link detected")
    if link and link.split()[0] not in _LINK:  # `no (No cable)` since 5.13
        raise ParseError(f"{TOOL}: the link is {link[:40]!r}")
    rate = _SPEED.fullmatch(speed)
    if speed and rate is None and speed != "Unknown!":
        raise ParseError(f"{TOOL}: the speed is {speed[:40]!r}")
    return Settings(
        head[1], _LINK[link.split()[0]] if link else None, int(rate[1]) / 1000 if rate and int(rate[1]) else None
    )


def _only(lines: list[str], name: str) -> str:
    """What stands behind a name that occurs at most once; empty where it does not."""
    found = [line.partition(":")[2].strip() for line in lines if line.strip().startswith(f"{name}:")]
    if len(found) > 1 or found == [""]:
        raise ParseError(f"{TOOL}: {name} is {'printed twice' if found[1:] else 'empty'}")
    return found[0] if found else ""
