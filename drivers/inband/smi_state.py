"""What `nvidia-smi -q -x` knows of one accelerator, part by part; what it does not say is None or empty, never zero.

Sources: NVIDIA's DTDs nvsmi_device_v12 and v13; recorded outputs of a GB200 tray (driver 580.173.02) and of nvidia-smi
580.65.06 over NVIDIA's mock; meanings by the NVML API reference (nvmlDeviceGetPlatformInfo, nvmlGpuFabricInfo_v2,
nvmlClocksEventReasons, nvmlDeviceGetMarginTemperature, nvmlDeviceGetRemappedRows, nvmlDeviceGetRowRemapperHistogram).
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from drivers.inband.smi_xml import count, flag, quantity, total, word

UNCORRECTED = (
    ("sram_uncorrectable_parity", "sram_uncorrectable_secded", "dram_uncorrectable"),
    ("sram_uncorrectable", "dram_uncorrectable"),
    ("dram_uncorrectable",),
)
CORRECTED = (("sram_correctable", "dram_correctable"), ("dram_correctable",))
_EVENTS = "clocks_event_reasons_counters/clocks_event_reasons_counters_"


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the accelerator sits, as its own platform told it: slot of the rack, tray, host of the tray, module."""

    chassis: str
    slot: int | None
    tray: int | None
    host: int | None
    module: int | None
    peer: str


@dataclass(frozen=True, slots=True)
class Pcie:
    """The link to the host as it is now: an idle one may have fallen back to a slower generation."""

    generation: int | None
    width: int | None
    greatest_generation: int | None
    greatest_width: int | None
    replays: int | None


@dataclass(frozen=True, slots=True)
class Ecc:
    """Memory errors since the driver was loaded (`uncorrected`, `corrected`) and in the part's life (`lifetime_…`)."""

    uncorrected: int | None
    corrected: int | None
    sram_corrected: int | None
    lifetime_uncorrected: int | None
    lifetime_corrected: int | None
    threshold_exceeded: bool | None
    channel_repair_pending: bool | None
    tpc_repair_pending: bool | None
    unrepairable: bool | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Memory rows replaced by spare ones, and `exhausted` banks: those with no spare row left."""

    corrected: int | None
    uncorrected: int | None
    pending: bool | None
    failed: bool | None
    exhausted: int | None


@dataclass(frozen=True, slots=True)
class Slowdowns:
    """Time in µs with lowered clocks, since the driver was loaded, by reason. A power cap is normal at full load."""

    power_cap: float | None
    software_thermal: float | None
    hardware_thermal: float | None
    power_brake: float | None


@dataclass(frozen=True, slots=True)
class Thermal:
    """degC. `margin` is what is left to the limit; the hardware slows down where it falls to `slowdown_margin`."""

    temperature: float | None
    memory: float | None
    margin: float | None
    slowdown_margin: float | None
    shutdown_margin: float | None


@dataclass(frozen=True, slots=True)
class Power:
    """W of the accelerator itself, not of its module; `limit` is the one in force."""

    draw: float | None
    limit: float | None
    default_limit: float | None
    least_limit: float | None
    greatest_limit: float | None
    module_draw: float | None


@dataclass(frozen=True, slots=True)
class Fabric:
    """Whether the accelerator has joined its NVLink fabric, and which. Empty and None: not said."""

    state: str
    status: str
    cluster: str
    clique: int | None
    health: str
    bandwidth: str
    route_recovery: bool | None
    route_unhealthy: bool | None
    access_timeout: bool | None
    misconfigured: str


def read_pcie(node: ET.Element) -> Pcie:
    """The section pci: generations as numbers, widths as `16x`."""
    link = "pci/pci_gpu_link_info"
    return Pcie(
        generation=count(node, f"{link}/pcie_gen/current_link_gen"),
        width=_lanes(word(node, f"{link}/link_widths/current_link_width")),
        greatest_generation=count(node, f"{link}/pcie_gen/max_link_gen"),
        greatest_width=_lanes(word(node, f"{link}/link_widths/max_link_width")),
        replays=count(node, "pci/replay_counter"),
    )


def _lanes(width: str) -> int | None:
    digits = width.removesuffix("x")
    return int(digits) if width.endswith("x") and digits.isascii() and digits.isdecimal() and len(digits) < 4 else None


def read_platform(node: ET.Element) -> Platform:
    """The section platformInfo (since driver 570)."""
    return Platform(
        chassis=word(node, "platformInfo/chassis_serial_number"),
        slot=count(node, "platformInfo/slot_number"),
        tray=count(node, "platformInfo/tray_index"),
        host=count(node, "platformInfo/host_id"),
        module=count(node, "platformInfo/module_id"),
        peer=word(node, "platformInfo/peer_type"),
    )


def read_ecc(node: ET.Element) -> Ecc:
    """The section ecc_errors; its counters are split differently by family, so those it has are added up."""
    return Ecc(
        uncorrected=total(node, "ecc_errors/volatile", UNCORRECTED),
        corrected=total(node, "ecc_errors/volatile", CORRECTED),
        sram_corrected=count(node, "ecc_errors/volatile/sram_correctable"),
        lifetime_uncorrected=total(node, "ecc_errors/aggregate", UNCORRECTED),
        lifetime_corrected=total(node, "ecc_errors/aggregate", CORRECTED),
        threshold_exceeded=flag(node, "ecc_errors/aggregate/sram_threshold_exceeded"),
        channel_repair_pending=flag(node, "ecc_errors/channel_repair_pending"),
        tpc_repair_pending=flag(node, "ecc_errors/tpc_repair_pending"),
        unrepairable=flag(node, "ecc_errors/unrepairable_memory"),
    )


def read_rows(node: ET.Element) -> Rows:
    """The section remapped_rows (Ampere and newer)."""
    exhausted = quantity(node, "remapped_rows/row_remapper_histogram/row_remapper_histogram_none", "bank(s)")
    return Rows(
        corrected=count(node, "remapped_rows/remapped_row_corr"),
        uncorrected=count(node, "remapped_rows/remapped_row_unc"),
        pending=flag(node, "remapped_rows/remapped_row_pending"),
        failed=flag(node, "remapped_rows/remapped_row_failure"),
        exhausted=None if exhausted is None else int(exhausted),
    )


def read_slowdowns(node: ET.Element) -> Slowdowns:
    """The section clocks_event_reasons_counters (since driver 550)."""
    return Slowdowns(
        power_cap=quantity(node, f"{_EVENTS}sw_power_cap", "us"),
        software_thermal=quantity(node, f"{_EVENTS}sw_therm_slowdown", "us"),
        hardware_thermal=quantity(node, f"{_EVENTS}hw_therm_slowdown", "us"),
        power_brake=quantity(node, f"{_EVENTS}hw_power_brake", "us"),
    )


def read_thermal(node: ET.Element) -> Thermal:
    """The section temperature; families before Hopper give limits in degC, from which the margins follow."""
    now = quantity(node, "temperature/gpu_temp", "C")
    margin = quantity(node, "temperature/gpu_temp_tlimit", "C")
    slow = quantity(node, "temperature/gpu_temp_slow_tlimit_threshold", "C")
    shut = quantity(node, "temperature/gpu_temp_max_tlimit_threshold", "C")
    older = quantity(node, "temperature/gpu_temp_slow_threshold", "C")
    if margin is None and now is not None and older is not None:
        stop = quantity(node, "temperature/gpu_temp_max_threshold", "C")
        margin, slow, shut = older - now, 0.0, None if stop is None else older - stop
    return Thermal(now, quantity(node, "temperature/memory_temp", "C"), margin, slow, shut)


def read_power(node: ET.Element) -> Power:
    """The section gpu_power_readings (power_readings before driver 530)."""
    draw = quantity(node, "gpu_power_readings/instant_power_draw", "W")
    for path in (
        "gpu_power_readings/average_power_draw",
        "gpu_power_readings/power_draw",
        "power_readings/power_draw",
    ):
        draw = quantity(node, path, "W") if draw is None else draw

    def limit(*names: str) -> float | None:
        found = (
            quantity(node, f"{part}/{name}", "W") for part in ("gpu_power_readings", "power_readings") for name in names
        )
        return next((each for each in found if each is not None), None)

    return Power(
        draw=draw,
        limit=limit("current_power_limit", "enforced_power_limit", "power_limit"),
        default_limit=limit("default_power_limit"),
        least_limit=limit("min_power_limit"),
        greatest_limit=limit("max_power_limit"),
        module_draw=quantity(node, "module_power_readings/instant_power_draw", "W"),
    )


def read_fabric(node: ET.Element) -> Fabric:
    """The section fabric (Hopper and newer; its health since driver 570)."""
    return Fabric(
        state=word(node, "fabric/state"),
        status=word(node, "fabric/status"),
        cluster=word(node, "fabric/clusterUuid"),
        clique=count(node, "fabric/cliqueId"),
        health=word(node, "fabric/health/summary"),
        bandwidth=word(node, "fabric/health/bandwidth"),
        route_recovery=flag(node, "fabric/health/route_recovery_in_progress"),
        route_unhealthy=flag(node, "fabric/health/route_unhealthy"),
        access_timeout=flag(node, "fabric/health/access_timeout_recovery"),
        misconfigured=word(node, "fabric/health/incorrect_configuration"),
    )
