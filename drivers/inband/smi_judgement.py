"""What `nvidia-smi -q -x` means for the acceptance of a new tray.

Sources: the counters that NVIDIA's Health Validation, Azure's and OCI's node checks gate on: no uncorrected error in
the life of a new part, no row remapped for one, no repair or action pending, the fabric joined and whole. Slowdowns
are cumulative and not zero on healthy parts, so only what was added since an earlier reading counts (recorded GB200:
7.3 s of sw_therm_slowdown while idle). sw_power_cap is normal at full load.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from drivers.inband.finding import Finding, Verdict
from drivers.inband.nvidia_smi import Gpu

CORRECTED_SRAM = 10_000
"""Corrected SRAM errors from which a part is refused (Azure's check_gpu_ecc)."""
LEAST_MARGIN = 5.0
"""degC to the thermal limit."""
_JOINING = frozenset({"Not Started", "In Progress"})


@dataclass(frozen=True, slots=True)
class Expected:
    """What the tray must be: number of accelerators and, where given, place, fabric, versions and power limit (W)."""

    gpus: int
    slot: int | None = None
    tray: int | None = None
    fabric: bool = True
    cluster: str = ""
    chip_to_chip: bool = False
    driver: str = ""
    vbios: str = ""
    power_limit: float | None = None
    least_margin: float = LEAST_MARGIN


def findings(gpus: Sequence[Gpu], expected: Expected, before: Sequence[Gpu] | None = None) -> tuple[Finding, ...]:
    """What is wrong with the tray; slowdowns are judged only against a reading taken `before`."""
    found = [*_numbers(gpus, expected)]
    for gpu in gpus:
        if gpu.lost:
            found.append(_fail(gpu, "the driver has lost it: read the kernel log for Xid 79, then cold-cycle the tray"))
            continue
        found += [*_unsaid(gpu, expected, before is not None), *_errors(gpu), *_repairs(gpu), *_setting(gpu, expected)]
        if expected.fabric:
            found += _joined(gpu, expected)
    if before is not None:
        found += _slowed(gpus, before)
    return tuple(found)


def _fail(gpu: Gpu, text: str) -> Finding:
    return Finding(Verdict.FAIL, gpu.bus, text)


def _error(gpu: Gpu, text: str) -> Finding:
    return Finding(Verdict.ERROR, gpu.bus, text)


def _warn(gpu: Gpu, text: str) -> Finding:
    return Finding(Verdict.WARN, gpu.bus, text)


def _numbers(gpus: Sequence[Gpu], expected: Expected) -> Iterator[Finding]:
    """The tray as a whole: all accelerators, all in one place, all in one fabric."""
    if len(gpus) != expected.gpus:
        yield Finding(Verdict.FAIL, "", f"{len(gpus)} accelerators answer where {expected.gpus} belong")
    seen = [gpu for gpu in gpus if not gpu.lost]
    places = {(each.platform.chassis, each.platform.slot, each.platform.tray, each.platform.host) for each in seen}
    if len(places) > 1:
        yield Finding(Verdict.FAIL, "", f"the accelerators name {len(places)} different chassis, slots, trays or hosts")
    modules = [gpu.platform.module for gpu in seen if gpu.platform.module is not None]
    if len(set(modules)) != len(modules):
        yield Finding(Verdict.FAIL, "", f"two accelerators call themselves the same module: {sorted(modules)}")
    if expected.fabric and len({(gpu.fabric.cluster, gpu.fabric.clique) for gpu in seen}) > 1:
        yield Finding(Verdict.FAIL, "", "the accelerators are in different NVLink clusters or cliques")


def _unsaid(gpu: Gpu, expected: Expected, timed: bool) -> Iterator[Finding]:
    """What could not be read: an ERROR where it is judged, a WARN where only newer drivers say it."""
    needed: dict[str, object] = {
        "uuid": gpu.uuid or None,
        "volatile uncorrected ECC": gpu.ecc.uncorrected,
        "aggregate uncorrected ECC": gpu.ecc.lifetime_uncorrected,
        "remapped rows": gpu.rows.uncorrected,
        "row remapping pending": gpu.rows.pending,
        "row remapping failure": gpu.rows.failed,
        "temperature": gpu.thermal.temperature,
        "thermal margin": gpu.thermal.margin,
        "power": gpu.power_state.draw,
    }
    newer: dict[str, object] = {
        "SRAM threshold exceeded": gpu.ecc.threshold_exceeded,
        "channel repair pending": gpu.ecc.channel_repair_pending,
        "TPC repair pending": gpu.ecc.tpc_repair_pending,
        "unrepairable memory": gpu.ecc.unrepairable,
        "row remapper histogram": gpu.rows.exhausted,
        "recovery action": gpu.recovery or None,
    }
    if expected.fabric:
        needed |= {
            "fabric state": gpu.fabric.state or None,
            "fabric status": gpu.fabric.status or None,
            "fabric clusterUuid": gpu.fabric.cluster or None,
            "fabric cliqueId": gpu.fabric.clique,
            "fabric health": gpu.fabric.health or None,
            "fabric bandwidth": gpu.fabric.bandwidth or None,
            "fabric route_unhealthy": gpu.fabric.route_unhealthy,
        }
    if timed:
        needed |= {"slowdown counters": gpu.throttled}
    for verdict, asked in ((Verdict.ERROR, needed), (Verdict.WARN, newer)):
        silent = [name for name, value in asked.items() if value is None]
        if silent:
            yield Finding(verdict, gpu.bus, f"nvidia-smi does not say: {', '.join(silent)}")


def _errors(gpu: Gpu) -> Iterator[Finding]:
    """Errors of memory, for which a new part has no excuse."""
    ecc, rows = gpu.ecc, gpu.rows
    counted: Iterable[tuple[str, int | None]] = (
        ("uncorrected memory errors since the driver was loaded", ecc.uncorrected),
        ("uncorrected memory errors in its life", ecc.lifetime_uncorrected),
        ("rows remapped for uncorrected errors", rows.uncorrected),
        ("banks with no spare row left", rows.exhausted),
    )
    for what, number in counted:
        if number:
            yield _fail(gpu, f"{number} {what}")
    if ecc.sram_corrected is not None and ecc.sram_corrected > CORRECTED_SRAM:
        yield _fail(gpu, f"{ecc.sram_corrected} corrected SRAM errors, more than {CORRECTED_SRAM}")
    elif ecc.corrected:
        yield _warn(gpu, f"{ecc.corrected} corrected memory errors since the driver was loaded")
    if rows.corrected:
        yield _warn(gpu, f"{rows.corrected} rows remapped for corrected errors")


def _repairs(gpu: Gpu) -> Iterator[Finding]:
    """What the accelerator says of itself."""
    said = (
        ("SRAM errors exceed its threshold", gpu.ecc.threshold_exceeded),
        ("a memory channel repair is pending", gpu.ecc.channel_repair_pending),
        ("a TPC repair is pending", gpu.ecc.tpc_repair_pending),
        ("it has memory that cannot be repaired", gpu.ecc.unrepairable),
        ("a row remapping is pending: reset it and test its memory again", gpu.rows.pending),
        ("a row remapping has failed", gpu.rows.failed),
    )
    yield from (_fail(gpu, text) for text, yes in said if yes)
    if gpu.recovery not in ("", "None"):
        yield _fail(gpu, f"the driver asks for a recovery action: {gpu.recovery}")
    if gpu.ecc_enabled is not True:
        yield _error(gpu, "ECC is not enabled, so its errors were not counted")


def _setting(gpu: Gpu, expected: Expected) -> Iterator[Finding]:
    """Place, thermal margin, versions and power limit."""
    for what, seen, wanted in (
        ("slot", gpu.platform.slot, expected.slot),
        ("tray", gpu.platform.tray, expected.tray),
    ):
        if wanted is not None and seen is None:
            yield _error(gpu, f"it does not say its {what}; {wanted} was expected")
        elif wanted is not None and seen != wanted:
            yield _fail(gpu, f"it sits in {what} {seen}, not {wanted}: the tray is in the wrong place")
    if gpu.thermal.margin is not None and gpu.thermal.margin < expected.least_margin:
        yield _fail(gpu, f"{gpu.thermal.margin:g} C to the thermal limit, at least {expected.least_margin:g} C needed")
    if expected.chip_to_chip and gpu.chip_to_chip is not True:
        verdict = Verdict.ERROR if gpu.chip_to_chip is None else Verdict.FAIL
        yield Finding(verdict, gpu.bus, "the C2C link to the host's processor is not enabled")
    for what, version, demanded in (
        ("driver", gpu.driver, expected.driver),
        ("VBIOS", gpu.vbios, expected.vbios),
    ):
        if demanded and version != demanded:
            yield _error(gpu, f"{what} {version or 'unknown'} is installed, {demanded} belongs: install it, test again")
    if expected.power_limit is not None and gpu.power_state.limit != expected.power_limit:
        yield _error(gpu, f"its power limit is {gpu.power_state.limit} W, not {expected.power_limit:g} W")


def _joined(gpu: Gpu, expected: Expected) -> Iterator[Finding]:
    """The NVLink fabric; what is not said of it was reported before."""
    fabric = gpu.fabric
    if fabric.state in _JOINING:
        yield _error(gpu, f"it has not joined its NVLink fabric yet: {fabric.state}")
    elif fabric.state and fabric.state != "Completed":
        yield _fail(gpu, f"its NVLink fabric is {fabric.state!r}")
    if fabric.state == "Completed" and fabric.status not in ("", "Success"):
        yield _fail(gpu, f"joining its NVLink fabric ended in {fabric.status!r}")
    if fabric.cluster and not fabric.cluster.strip("0-"):
        yield _fail(gpu, "its NVLink cluster has no identity")
    elif expected.cluster and fabric.cluster and fabric.cluster.lower() != expected.cluster.lower():
        yield _fail(gpu, f"it is in NVLink cluster {fabric.cluster}, not {expected.cluster}")
    if fabric.health not in ("", "Healthy"):
        yield _fail(gpu, f"its NVLink fabric is {fabric.health}")
    if fabric.bandwidth not in ("", "Full"):
        yield _fail(gpu, f"its NVLink bandwidth is {fabric.bandwidth}")
    for what, yes in (
        ("a route is unhealthy", fabric.route_unhealthy),
        ("a route is being recovered", fabric.route_recovery),
        ("it recovers from an access timeout", fabric.access_timeout),
    ):
        if yes:
            yield _fail(gpu, f"NVLink fabric: {what}")
    if fabric.misconfigured not in ("", "None"):
        yield _fail(gpu, f"NVLink fabric: wrong configuration: {fabric.misconfigured}")


def _slowed(gpus: Sequence[Gpu], before: Sequence[Gpu]) -> Iterator[Finding]:
    """Slowdowns since the earlier reading; counters that fell mean that the driver was loaded anew."""
    earlier = {gpu.uuid: gpu for gpu in before if gpu.uuid}
    missing = sorted(set(earlier) - {gpu.uuid for gpu in gpus})
    yield from (Finding(Verdict.ERROR, earlier[name].bus, "it was there before and is not now") for name in missing)
    for gpu in gpus:
        first = earlier.get(gpu.uuid)
        if first is None:
            yield _error(gpu, "there is no earlier reading of it, so its slowdowns cannot be judged")
            continue
        if first.throttled is None:
            yield _error(gpu, "the earlier reading has no slowdown counters")
        for what, was, now in (
            ("software thermal slowdown", first.slowdowns.software_thermal, gpu.slowdowns.software_thermal),
            ("hardware thermal slowdown", first.slowdowns.hardware_thermal, gpu.slowdowns.hardware_thermal),
            ("hardware power brake", first.slowdowns.power_brake, gpu.slowdowns.power_brake),
        ):
            if was is None or now is None:
                continue
            if now < was:
                yield _error(gpu, f"{what}: the counter fell from {was:g} to {now:g} us; was the driver loaded anew?")
            elif now > was:
                yield _fail(gpu, f"{what} for {(now - was) / 1000:g} ms since the earlier reading")
