"""The bay: where a rack is docked. Addresses by device, secrets by name, fixed instruments. YAML, owned by the line."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from harness.clock import Clock
from harness.rack.model import Frozen, Name, Positive, Text


class SecretSource(Frozen):
    """Where a secret is looked up, in this order; the first that is given must hold it. Never the secret itself."""

    env: Text | None = None
    """An environment variable."""
    file: Text | None = None
    """A file of mode 0600 (or stricter), relative to the bay file; its first line is the secret."""
    keyring: Text | None = None
    """`service/user` in the system keyring, where the package keyring is installed."""


class Endpoint(Frozen):
    """How one device is reached; see `harness.connection.Connection`."""

    driver: Name
    """Entry point in the group `rackproof.drivers`: bmc, switch, pdu, power_shelf, cdu, host, console."""
    address: Text
    profile: str = ""
    user: str = ""
    secrets: dict[Name, Name] = {}
    """Purpose (`password`, `community`, `auth`, `privacy`) to the name of a secret."""
    options: dict[Text, str | int | float | bool] = {}


class Instrument(Frozen):
    """A fixed instrument of the bay."""

    name: Text
    serial: Text
    calibration_due: date


class Simulated(Frozen):
    """Present only in the bay file of a simulated rack: its time, its seed and the faults put into it."""

    pace: Positive
    epoch: datetime
    started: float
    """System-wide monotonic clock at `epoch`, seconds."""
    seed: int
    faults: tuple[Text, ...] = ()
    history: str = ""
    """File in which the simulated rack notes when each fault began."""


class Bay(Frozen):
    """One docking place on the line."""

    name: Name
    site: Text
    station: Text
    devices: Annotated[dict[Name, Endpoint], Field(min_length=1)]
    secrets: dict[Name, SecretSource] = {}
    instruments: tuple[Instrument, ...] = ()
    simulated: Simulated | None = None
    claims: str = ""
    """Folder, relative to the bay file, in which all stations that can reach this bay keep who holds its rack."""

    def clock(self) -> Clock:
        """The rack's time: that of the simulated rack in its bay file, else the wall clock from now on."""
        if self.simulated is None:
            return Clock.real()
        return Clock(self.simulated.pace, self.simulated.epoch, self.simulated.started)
