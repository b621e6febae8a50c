"""The rack's pulse in one line: how hot, how much power, how much coolant, from the telemetry of this moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.quantities import Channel, Reading, Sample
from reports import texts

_DRAWN = "input.power"


class Pulse:
    """Keeps the latest reading of every channel; what cannot be judged now is not shown."""

    def __init__(self) -> None:
        self._latest: dict[Channel, Reading] = {}

    def take(self, samples: Sequence[Sample]) -> None:
        """Take in one device's fresh samples."""
        self._latest |= {sample.channel: sample.reading for sample in samples}

    def line(self) -> str:
        """`hottest 63 °C tray-03/accelerator-0 · 16.2 kW · 23.4 L/min · 35.0 → 43.9 °C`; empty before there is any."""
        return " · ".join(part for part in (self._hottest(), self._power(), self._coolant()) if part)

    def _of(self, quantity: str) -> Iterable[tuple[Channel, float]]:
        found = ((c, r) for c, r in self._latest.items() if c.quantity == quantity and not c.device.endswith("-host"))
        return [(channel, reading.number) for channel, reading in found if reading.usable]

    def _hottest(self) -> str:
        found = max(self._of("accelerator.temperature"), key=lambda pair: pair[1], default=None)
        if found is None:
            return ""
        channel, value = found
        return f"hottest {texts.value_text(round(value), channel.unit.value)} {channel.subject}"

    def _power(self) -> str:
        drawn = [value for channel, value in self._of(_DRAWN) if not channel.part]
        return f"{sum(drawn) / 1000:.1f} kW drawn" if drawn else ""

    def _coolant(self) -> str:
        flow = [value for _, value in self._of("coolant.flow")]
        cold = [value for _, value in self._of("coolant.supply.temperature")]
        warm = [value for _, value in self._of("coolant.return.temperature")]
        if not (flow and cold and warm):
            return ""
        return f"{sum(flow):.1f} L/min, {min(cold):.1f} → {max(warm):.1f} °C"
