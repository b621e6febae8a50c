"""Physical links: what an interface counts below the packets — lanes, forward error correction, optics.

No MIB has these, so a switch is asked by SSH (`ethtool`, `mlxlink`, `show interfaces phy`) and a host in-band, through
one capability. A counter that is not offered is None, never zero; a bit error ratio that stands for "none seen"
(15E-255) is the ratio 0.0 and proves nothing by itself: bits and time do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from harness.quantities import Reading

NEARLY_LOST = 12
"""Corrected symbols in a codeword, of the 15 that RS(544,514) can correct (IEEE 802.3, clause 91): our judgement."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One lane of a link, numbered from 0 as the device numbers them. Powers in dBm, bias current in ampere.

    No light (`-inf dBm`) is a reading of quality ABSENT with the problem `no light`; None where the module does not
    measure.
    """

    number: int
    raw_errors: int | None = None
    raw_ber: float | None = None
    rx_power: Reading | None = None
    tx_power: Reading | None = None
    bias: Reading | None = None
    problems: tuple[str, ...] = ()
    """Raised flags, in the module's words: `rx los`, `tx fault`, `rx power low alarm`."""


@dataclass(frozen=True, slots=True)
class Transceiver:
    """The module in a port: who it is, and what it says of itself. `problems` are raised alarms and warnings."""

    vendor: str
    part_number: str
    serial: str
    kind: str
    """Form factor or medium, in the module's words: `QSFP-DD`, `passive copper`."""
    temperature: Reading | None = None
    temperature_warning: float | None = None
    """Its own high warning, degC."""
    rx_power_low_warning: float | None = None
    """Its own low warning of received power, dBm."""
    rx_power_high_warning: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhysicalLink:
    """One port below the packets. Counters are those since `epoch`, a token that changes when they were reset.

    `fec` is the scheme in use in lower case (`rs-544`, `rs-528`, `base-r`, `off`), empty where not said.
    `corrected` and `uncorrectable` count FEC codewords (IEEE 802.3, 45.2.1: blocks); `bins` the codewords with 0, 1, 2
    … corrected symbols; ratios are errors a bit as the device states them.
    """

    port: str
    up: bool | None
    speed: Reading | None
    fec: str
    epoch: str
    corrected: int | None = None
    uncorrectable: int | None = None
    symbol_errors: int | None = None
    bins: tuple[int, ...] = ()
    raw_ber: float | None = None
    effective_ber: float | None = None
    symbol_ber: float | None = None
    downs: int | None = None
    """How often the link went down."""
    recoveries: int | None = None
    lanes: tuple[Lane, ...] = ()
    transceiver: Transceiver | None = None

    @property
    def nearly_lost(self) -> int | None:
        """Codewords that were close to being lost; None where the link has no histogram."""
        return sum(self.bins[NEARLY_LOST:]) if self.bins else None


@runtime_checkable
class PhysicalLinks(Protocol):
    """A device that reads its links below the packets, ordered by port name."""

    async def physical_links(self) -> Sequence[PhysicalLink]: ...
