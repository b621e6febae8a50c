"""Whether the unit behind an address is still the one that was there first.

An address, a unit number on a bus and an outlet's OID say nothing of the unit that answers to them. What was measured
of one unit must never be booked on another, so what a unit says of itself is kept from the first good answer on and
compared again: after every failure, for nobody is exchanged without one, and every few seconds, for an address can
also be given to another device at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

CHECK_EVERY = 10.0
"""Wall seconds for which a unit that never failed is believed to be the same one (engineering judgement)."""


class Peer:
    """What one unit said of itself when it was first heard. It holds until `forget`: a swap stays reported."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._checked = -math.inf

    @property
    def known(self) -> bool:
        """Whether it ever said anything that tells it from another one."""
        return bool(self._known)

    @property
    def due(self) -> bool:
        """Whether it has to be asked (again) before its values are believed."""
        return time.monotonic() - self._checked >= CHECK_EVERY

    def doubt(self) -> None:
        """Something happened in which it may have been exchanged."""
        self._checked = -math.inf

    def meet(self, said: Mapping[str, str]) -> str:
        """What differs from what was said first, in words; empty where nothing does. An empty value says nothing."""
        different = [
            f"{what} {said.get(what) or 'none'} where {known} was"
            for what, known in self._known.items()
            if said.get(what) != known
        ]
        if not different:
            self._known |= {what: value for what, value in said.items() if value}
            self._checked = time.monotonic()
        return ", ".join(different)

    def forget(self) -> None:
        """Whoever answers next is the unit from then on."""
        self._known.clear()
        self._checked = -math.inf
