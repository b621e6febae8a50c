"""The module in a port as ethtool reads it: `ethtool -m`, text or `--json`.

Seen: JSON of a CMIS module as published with the patches for 6.14 (February 2025). From source (ethtool 6.1 … 7.0:
qsfp.c, cmis.c, sfpdiag.c, sff-common.{c,h}, module-common.c): the text of every version, JSON before and since 6.19.
JSON exists since 6.14; until 6.15 it names a reading and its thresholds alike (`module_temperature` twice, an SFP's
`laser_output_power` too), so the reading must not be lost to the thresholds; a flag is one word for no lane or a list
for all. Until 7.0 ethtool masks a CMIS lane's alarm with the lane's number instead of its bit, so that lane 1 never has
one: powers are compared with the thresholds beside them. Units as printed: mW and mA a lane, degC, V.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from drivers.inband import ParseError
from drivers.inband.ethtool_module_fields import LONGEST, TOOL, Found, Value, read_json, read_text
from drivers.inband.finding import Finding, Verdict
from harness.physical import Lane, Transceiver
from harness.quantities import Quality, Reading, Unit

MOST_LANES = 32
DARK = -40.0
"""dBm; what no light is written as. SFF-8636 and CMIS count in 0.1 uW, which is this."""
_MARGIN = 5.0
"""degC below its own high warning that a module must stay."""
_READINGS = {
    "rx": ("rx_power", "rcvr_signal_avg_optical_power", "receiver_signal_oma", "receiver_signal_average_optical_power"),
    "tx": ("transmit_avg_optical_power", "laser_output_power"),
    "bias": ("laser_tx_bias_current", "laser_bias_current"),
}
_LEVELS = ("high_alarm", "low_alarm", "high_warning", "low_warning")
_LANE_FLAGS = (
    *("rx_loss_of_signal", "tx_loss_of_signal", "rx_loss_of_lock", "tx_loss_of_lock", "tx_fault"),
    *("tx_adaptive_eq_fault", "tx_adaptive_eq_fail"),
    *(
        f"{quantity}_{level}"
        for quantity in ("laser_bias_current", "laser_tx_power", "laser_output_power", "laser_rx_power")
        for level in _LEVELS
    ),
)
_MODULE_FLAGS = tuple(f"module_{quantity}_{level}" for quantity in ("temperature", "voltage") for level in _LEVELS)
_RAISED, _QUIET = (True, "Yes", "On"), (False, "No", "Off", "None")


@dataclass(frozen=True, slots=True)
class Limits:
    """The module's own thresholds of one quantity; None where it states none."""

    high_alarm: float | None = None
    low_alarm: float | None = None
    high_warning: float | None = None
    low_warning: float | None = None


@dataclass(frozen=True, slots=True)
class ModuleLane:
    """One lane, numbered from 0. mW and mA; None where it is not measured. 0 mW is no light."""

    number: int
    rx: float | None
    tx: float | None
    bias: float | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Module:
    """A module. Texts are empty where it does not say; `temperature` degC, `voltage` V."""

    kind: str
    vendor: str
    part_number: str
    serial: str
    revision: str
    technology: str
    state: str
    firmware: str
    temperature: float | None
    voltage: float | None
    temperature_limits: Limits
    rx_limits: Limits
    """mW"""
    tx_limits: Limits
    lanes: tuple[ModuleLane, ...]
    problems: tuple[str, ...]
    """Raised flags of the whole module, in its words."""


def parse(text: str) -> Module:
    """The module of a port; raises ParseError."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    document = text.lstrip()[:1] in ("[", "{")
    found = read_json(text) if document else read_text(text)
    kind, vendor = _word(found, "identifier_description"), _word(found, "vendor_name")
    if not kind or not vendor:
        raise ParseError(f"{TOOL}: there is no module in the output, or it does not say what it is")
    lanes = {quantity: _lanes(found, names) for quantity, names in _READINGS.items()}
    flags = {name: _flags(found, name) for name in _LANE_FLAGS}
    number = max(*(len(each) for each in lanes.values()), *(len(each) for each in flags.values() if len(each) > 1), 0)
    lists: dict[str, list[float] | list[bool]] = {**lanes, **flags}
    odd = [
        name for name, each in lists.items() if len(each) not in (0, number) and not (name in flags and len(each) == 1)
    ]
    if odd:
        raise ParseError(f"{TOOL}: {odd[0]} of {len(lists[odd[0]])} lanes, there are {number}")
    whole = [name for name in _MODULE_FLAGS if any(_flags(found, name))]
    whole += [name for name, raised in flags.items() if len(raised) == 1 != number and raised[0]]
    return Module(
        kind=kind,
        vendor=vendor,
        part_number=_word(found, "vendor_pn"),
        serial=_word(found, "vendor_sn"),
        revision=_word(found, "vendor_rev"),
        technology=_word(found, "transmitter_technology_description"),
        state=_word(found, "module_state_description"),
        firmware=_firmware(found),
        temperature=_single(found, "module_temperature_measurement", "module_temperature"),
        voltage=_single(found, "module_voltage_measurement", "module_voltage"),
        temperature_limits=_limits(found, "module_temperature"),
        rx_limits=_limits(found, "laser_rx_power"),
        tx_limits=_limits(found, "laser_output_power"),
        lanes=tuple(_lane(at, number, lanes, flags) for at in range(number)),
        problems=tuple(name.replace("_", " ") for name in whole),
    )


def _word(found: Found, name: str) -> str:
    """The one text of this name; empty where absent."""
    words = {value for value in found.get(name, ()) if isinstance(value, str)}
    if len(words) > 1:
        raise ParseError(f"{TOOL}: {name} is {' and '.join(sorted(words))[:120]}")
    return words.pop().strip() if words else ""


def _firmware(found: Found) -> str:
    parts = next((each for each in found.get("active_firmware_version", ()) if isinstance(each, dict)), None)
    if parts is None:
        return _word(found, "active_firmware_version")
    return ".".join(f"{parts[each]:g}" for each in ("major", "minor") if isinstance(parts.get(each), int))


def _single(found: Found, *names: str) -> float | None:
    """The reading of one of these names, wherever its thresholds are."""
    numbers = {_number(value, name) for name in names for value in found.get(name, ()) if not isinstance(value, dict)}
    if len(numbers) > 1:
        raise ParseError(f"{TOOL}: {names[-1]} is {len(numbers)} different numbers")
    return numbers.pop() if numbers else None


def _number(value: Value, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ParseError(f"{TOOL}: {name} is no number")
    return float(value)


def _lanes(found: Found, names: tuple[str, ...]) -> list[float]:
    """One reading a lane: lists of them (one a bank), an object with `values` or `value`, or one number."""
    readings: list[float] = []
    for name in names:
        for value in found.get(name, ()):
            inner: Value = value.get("values", value.get("value")) if isinstance(value, dict) else value
            if inner is None:
                continue
            for each in inner if isinstance(inner, list) else [inner]:
                reading = _number(each, name)
                if reading < 0:
                    raise ParseError(f"{TOOL}: {name} is {reading}")
                readings.append(reading)
    if len(readings) > MOST_LANES:
        raise ParseError(f"{TOOL}: {len(readings)} lanes")
    return readings


def _flags(found: Found, name: str) -> list[bool]:
    """One flag a lane, or one for all of them (before 6.15 where none is raised); empty where absent."""
    raised: list[bool] = []
    for value in found.get(name, ()):
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, bool | str) or each not in (*_RAISED, *_QUIET):
                raise ParseError(f"{TOOL}: {name} is {each!r:.40}")
            raised.append(each in _RAISED)
    if len(raised) > MOST_LANES:
        raise ParseError(f"{TOOL}: {len(raised)} lanes")
    return raised


def _limits(found: Found, name: str) -> Limits:
    objects = [value for value in found.get(name, ()) if isinstance(value, dict)]
    if len(objects) > 1:
        raise ParseError(f"{TOOL}: {len(objects)} sets of thresholds of {name}")
    levels: dict[str, float] = {}
    for level in _LEVELS:
        value = objects[0].get(f"{level}_threshold") if objects else None
        if value is not None:
            levels[level] = _number(value, name)
    for low, high in (("low_warning", "high_warning"), ("low_alarm", "high_alarm")):
        if low in levels and high in levels and levels[low] > levels[high]:
            raise ParseError(f"{TOOL}: the thresholds of {name} contradict each other")
    return Limits(**levels)


def _lane(at: int, number: int, lanes: dict[str, list[float]], flags: dict[str, list[bool]]) -> ModuleLane:
    rx, tx, bias = (each[at] if at < len(each) else None for each in lanes.values())
    raised = [name for name, said in flags.items() if len(said) == number and said[at]]
    return ModuleLane(at, rx, tx, bias, tuple(name.replace("_", " ") for name in raised))


def decibels(power: float) -> float:
    """mW as dBm; minus infinity for no light."""
    return 10 * math.log10(power) if power > 0 else -math.inf


def transceiver(module: Module, at: datetime) -> Transceiver:
    """The module in the words of the harness, as read at this instant."""
    low, high = module.rx_limits.low_warning, module.rx_limits.high_warning
    raised = (f"lane {lane.number}: {problem}" for lane in module.lanes for problem in lane.problems)
    return Transceiver(
        vendor=module.vendor,
        part_number=module.part_number,
        serial=module.serial,
        kind=module.kind,
        temperature=None if module.temperature is None else Reading(module.temperature, Unit.CELSIUS, at),
        temperature_warning=module.temperature_limits.high_warning,
        rx_power_low_warning=decibels(low) if low else None,
        rx_power_high_warning=decibels(high) if high else None,
        problems=(*module.problems, *raised),
    )


def lanes(module: Module, at: datetime) -> tuple[Lane, ...]:
    """The lanes in the words of the harness: dBm, ampere, and no light as an absent reading."""
    return tuple(
        Lane(
            number=lane.number,
            rx_power=_light(lane.rx, at),
            tx_power=_light(lane.tx, at),
            bias=None if lane.bias is None else Reading(lane.bias / 1000, Unit.AMPERE, at),
            problems=(*lane.problems, *(("no light",) if lane.rx == 0 else ())),
        )
        for lane in module.lanes
    )


def _light(power: float | None, at: datetime) -> Reading | None:
    if power is None:
        return None
    if not power:
        return Reading(DARK, Unit.DECIBEL_MILLIWATT, at, Quality.ABSENT)
    return Reading(decibels(power), Unit.DECIBEL_MILLIWATT, at)


def findings(module: Module, port: str) -> tuple[Finding, ...]:
    """A raised flag, light beyond the module's own warnings, or too hot is FAIL; without its own limits ERROR.

    A module that measures no light, as a copper cable, is judged by its flags alone.
    """
    found = [Finding(Verdict.FAIL, port, problem) for problem in module.problems]
    for lane in module.lanes:
        found += [Finding(Verdict.FAIL, port, f"lane {lane.number}: {problem}") for problem in lane.problems]
        for way, power, limits in (("rx", lane.rx, module.rx_limits), ("tx", lane.tx, module.tx_limits)):
            low, high = limits.low_warning, limits.high_warning
            if power is None:
                continue
            if low is None or high is None:
                found.append(Finding(Verdict.ERROR, port, f"lane {lane.number}: {way} power without thresholds"))
            elif not low <= power <= high:
                text = f"{decibels(power):.2f} dBm, allowed {decibels(low):.2f} … {decibels(high):.2f}"
                found.append(Finding(Verdict.FAIL, port, f"lane {lane.number}: {way} power {text}"))
    hot = module.temperature_limits.high_warning
    measures_light = any(power is not None for lane in module.lanes for power in (lane.rx, lane.tx))
    if not measures_light and " nm " in module.technology:
        found.append(Finding(Verdict.ERROR, port, "it is an optic and tells nothing of its light"))
    if measures_light and (module.temperature is None or hot is None):
        found.append(Finding(Verdict.ERROR, port, "its temperature or the limit of it is not said"))
    if module.temperature is not None and hot is not None and module.temperature >= hot - _MARGIN:
        found.append(Finding(Verdict.FAIL, port, f"{module.temperature:.1f} degC, its own warning is {hot:.1f}"))
    if module.state and module.state != "ModuleReady":
        found.append(Finding(Verdict.FAIL, port, f"its state is {module.state}"))
    return tuple(found)
