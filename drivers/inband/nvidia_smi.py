"""What `nvidia-smi -q -x` says of each accelerator of a host.

Recorded from drivers 580.65.06 (mock) and 580.173.02 (GB200 tray); the DTDs nvsmi_device_v12 and v13 as printed by
drivers 550 … 580. "N/A", "GPU is lost" and everything else that is no number is None, never zero. What follows from it
for acceptance is in smi_judgement.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

from drivers.inband import ParseError
from drivers.inband.smi_state import (
    Ecc,
    Fabric,
    Pcie,
    Platform,
    Power,
    Rows,
    Slowdowns,
    Thermal,
    read_ecc,
    read_fabric,
    read_pcie,
    read_platform,
    read_power,
    read_rows,
    read_slowdowns,
    read_thermal,
)
from drivers.inband.smi_xml import LOST, TOOL, count, flag, raw, read_log, word


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator; `bus` is its PCI address, `uuid` its own name. Counters start when the driver is loaded."""

    uuid: str
    bus: str
    product: str
    serial: str
    part_number: str
    driver: str
    vbios: str
    minor: int | None
    platform: Platform
    pcie: Pcie
    ecc: Ecc
    ecc_enabled: bool | None
    rows: Rows
    slowdowns: Slowdowns
    thermal: Thermal
    power_state: Power
    fabric: Fabric
    chip_to_chip: bool | None
    """Whether the link to the host's own processor (C2C of Grace) is up; None where there is none."""
    persistence: bool | None
    recovery: str
    """What the driver asks for: "None", "Reset", "Reboot", "Drain P2P", "Drain and Reset"; empty where not said."""
    lost: bool

    @property
    def temperature(self) -> float | None:
        """degC."""
        return self.thermal.temperature

    @property
    def power(self) -> float | None:
        """W, of the accelerator itself, not of its module."""
        return self.power_state.draw

    @property
    def ecc_uncorrected(self) -> int | None:
        """Uncorrected memory errors since the driver was loaded."""
        return self.ecc.uncorrected

    @property
    def ecc_corrected(self) -> int | None:
        """Corrected memory errors since the driver was loaded."""
        return self.ecc.corrected

    @property
    def throttled(self) -> float | None:
        """ms in thermal or power-brake slowdown."""
        slow = (self.slowdowns.software_thermal, self.slowdowns.hardware_thermal, self.slowdowns.power_brake)
        return None if None in slow else math.fsum(each or 0.0 for each in slow) / 1000.0


def parse(text: str) -> tuple[Gpu, ...]:
    """The accelerators in the tool's order; raises ParseError where it is cut off or contradicts itself."""
    log = read_log(text)
    driver = word(log, "driver_version")
    gpus = tuple(_gpu(each, driver) for each in log.findall("gpu"))
    attached = count(log, "attached_gpus")
    if attached != len(gpus):
        raise ParseError(f"{TOOL}: {attached} accelerators attached, {len(gpus)} described")
    if len({gpu.bus for gpu in gpus if gpu.bus}) != len(gpus):
        raise ParseError(f"{TOOL}: two accelerators at one PCI address, or one without")
    named = [gpu.uuid for gpu in gpus if gpu.uuid]
    if len(set(named)) != len(named):
        raise ParseError(f"{TOOL}: two accelerators of one name")
    return gpus


def _gpu(node: ET.Element, driver: str) -> Gpu:
    recovery = raw(node, "gpu_recovery_action")
    return Gpu(
        uuid=word(node, "uuid"),
        bus=node.get("id", "").strip(),
        product=word(node, "product_name"),
        serial=word(node, "serial"),
        part_number=word(node, "board_part_number") or word(node, "gpu_part_number"),
        driver=driver,
        vbios=word(node, "vbios_version"),
        minor=count(node, "minor_number"),
        platform=read_platform(node),
        pcie=read_pcie(node),
        ecc=read_ecc(node),
        ecc_enabled=flag(node, "ecc_mode/current_ecc"),
        rows=read_rows(node),
        slowdowns=read_slowdowns(node),
        thermal=read_thermal(node),
        power_state=read_power(node),
        fabric=read_fabric(node),
        chip_to_chip=flag(node, "c2c_mode"),
        persistence=flag(node, "persistence_mode"),
        recovery="" if recovery == "N/A" else recovery,
        lost=any((each.text or "").strip() == LOST for each in node.iter()),
    )
