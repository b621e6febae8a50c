"""Modbus units that were exchanged for others behind the same address or unit number.

No message of Modbus says who answers. So a unit that told its identification (function 43/14, V1.1b3, 6.21) when the
driver asked for it, and one whose serial number the driver has put under watch, is asked again after every failure,
after the connection or port was opened anew, and every ten seconds; until it was asked, nothing else that it said is
given out. Identification names vendor, product and revision only: a unit of the same kind is told by its serial number.
A unit that has neither cannot be told apart. Writes are not held up by it: who switches reads back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from pymodbus.pdu import ModbusPDU

from drivers.transports.modbus_wire import READ_DEVICE_IDENTIFICATION, Ask, identification_of
from drivers.transports.peer import Peer
from harness.errors import Misbehaved, Unsupported

_ADVICE = (
    "Find out which unit was exchanged, or whether two share a number; what was measured before holds for the first "
    "one only: start the run again"
)


class Peers:
    """Who the units of one link are. `ask` puts one request to one of them and raises DeviceError."""

    def __init__(self, device: str, ask: Callable[[int, Ask], Awaitable[ModbusPDU]]) -> None:
        self._device = device
        self._ask = ask
        self._marks: dict[int, dict[str, Ask]] = {}
        """By unit: what has to be asked to know it again."""
        self._peers: dict[int, Peer] = {}
        self._upsets: dict[int, int] = {}

    def watch(self, unit: int, address: int, count: int) -> None:
        """These registers tell the unit from any other."""
        self._mark(unit, f"registers {address} … {address + count - 1}", Ask.read(address, count))

    def identified(self, unit: int, said: Mapping[int, str]) -> None:
        """The unit told its identification, so it can be asked for it again."""
        if any(said.values()):
            self._mark(unit, "identification", Ask(READ_DEVICE_IDENTIFICATION))

    async def check(self, unit: int, upsets: Callable[[], int]) -> None:
        """Raises DeviceError unless the unit is the one that was there first; asks only where there is a reason to.

        `upsets` counts what may have been an exchange: failures, and openings of the connection or port.
        """
        marks = self._marks.get(unit)
        if not marks:
            return
        peer = self._peers.setdefault(unit, Peer())
        if self._upsets.get(unit) != upsets():
            peer.doubt()
        if not peer.due:
            return
        said = {}
        for name, ask in marks.items():
            try:
                said[name] = _said(ask, await self._ask(unit, ask))
            except Unsupported:
                said[name] = ""
        if different := peer.meet(said):
            seen = f"another unit answers as number {unit}: {different}"
            raise Misbehaved(self._device, f"read from unit {unit}", seen, _ADVICE)
        self._upsets[unit] = upsets()

    def forget(self) -> None:
        """Whoever answers next is the unit from then on."""
        self._peers.clear()

    def _mark(self, unit: int, name: str, ask: Ask) -> None:
        marks = self._marks.setdefault(unit, {})
        if name not in marks:
            marks[name] = ask
            self._peers.setdefault(unit, Peer()).doubt()


def _said(ask: Ask, answer: ModbusPDU) -> str:
    if ask.function == READ_DEVICE_IDENTIFICATION:
        return " / ".join(text for _, text in sorted(identification_of(answer).items()))
    octets = b"".join(word.to_bytes(2, "big") for word in answer.registers)
    text = octets.rstrip(b"\x00 ")
    return repr(text.decode("ascii")) if text.isascii() and text.decode().isprintable() else octets.hex(" ")
