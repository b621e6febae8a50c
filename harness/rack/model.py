"""The model: what a conforming rack of one generation is.

YAML, revisioned, owned by engineering. Everything a plan compares against stands here, with its source.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.quantities import Unit, Value

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]

ROLES = ("compute_tray", "switch_tray", "host", "console", "switch", "pdu", "power_shelf", "cdu")
Role = Literal["compute_tray", "switch_tray", "host", "console", "switch", "pdu", "power_shelf", "cdu"]


LABELLED = ("psu", "fan", "pump", "bbu", "module", "filter", "reservoir")
"""Kinds of parts whose places are labelled from 1; all others count from 0, as the standards do."""


class Frozen(BaseModel):
    """Immutable, and strict about what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PartSpec(Frozen):
    """Parts of one kind in an assembly: how many, which part numbers are approved, and from whom."""

    kind: Name
    count: Annotated[int, Field(gt=0)]
    manufacturer: str = ""
    """Empty where such a part cannot tell its maker."""
    part_numbers: tuple[Text, ...] = ()
    """Approved part numbers; empty where such a part cannot tell its number, then presence and health are checked."""
    serials: Literal["own", "shared"] = "own"
    """Whether each such part has a serial of its own, or names that of the board it sits on."""

    def names(self) -> tuple[str, ...]:
        """The places of these parts: `accelerator-0` … `accelerator-3`; what is labelled at the front counts from 1."""
        first = 1 if self.kind in LABELLED else 0
        return tuple(f"{self.kind}-{number}" for number in range(first, first + self.count))


class Assembly(Frozen):
    """One kind of device as it is bought: its identity, parts and firmware baseline."""

    manufacturer: Text
    model: Text
    part_numbers: Annotated[tuple[Text, ...], Field(min_length=1)]
    parts: tuple[PartSpec, ...] = ()
    firmware: dict[Name, Text] = {}
    """Component to version; a component that names a part kind (`accelerator`) holds for each part of it."""


class Slot(Frozen):
    """A place in the rack. The first role carries the slot's own name; further ones append theirs: `tray-01-host`."""

    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    assembly: Name


class Cable(Frozen):
    """One data cable: `a` on a tray (`tray-01/nic-0`), `b` on a switch (`switch-1/swp1`)."""

    a: Text
    b: Text
    speed: Positive
    """Gbit/s."""


class PowerFeed(Frozen):
    """One power cord: from an outlet (`pdu-a/1`) to a supply (`shelf-1/psu-1`)."""

    outlet: Text
    feeds: Text


class CoolantSpec(Frozen):
    """The coolant, with what heat is computed from: ρ = Σ density[i]·Tⁱ (kg/m³), cp = Σ specific_heat[i]·Tⁱ (J/kgK)."""

    name: Text
    density: Annotated[tuple[Finite, ...], Field(min_length=1)]
    specific_heat: Annotated[tuple[Finite, ...], Field(min_length=1)]
    liquid_share: Fraction
    """Share of the rack's DC power that the coolant carries away by design; the rest goes to air."""
    source: Text

    def heat(self, flow: float, supply: float, back: float) -> float:
        """Heat carried away in watts, from flow (L/min) and the supply and return temperatures (degC)."""
        mean = (supply + back) / 2
        density = sum(c * mean**i for i, c in enumerate(self.density))
        capacity = sum(c * mean**i for i, c in enumerate(self.specific_heat))
        return flow / 60000.0 * density * capacity * (back - supply)


class LimitSpec(Frozen):
    """A limit as written: see `harness.limits.Limit`, which it becomes.

    A `baseline` is what is expected; loading turns it into `min` (or `max`, where lower is better) and `guard`.
    """

    unit: Unit
    source: Text
    min: Finite | None = None
    max: Finite | None = None
    baseline: Finite | Text | None = None
    """In `unit`, or `learned`: then the model's baselines file has it."""
    tolerance: Positive | None = None
    """Percent of the baseline by which a value may be worse."""
    warn: NotNegative | None = None
    """Percent of the baseline; worse than this is marginal. Without it, nothing is until it fails."""
    better: Literal["higher", "lower"] | None = None
    """Of a baseline; higher unless said."""
    equals: Value | None = None
    by_definition: bool = False
    recorded_only: bool = False
    guard: NotNegative = 0.0
    uncertainty: NotNegative | None = None


class LoadSpec(Frozen):
    """A load the plan may run: with which tool on the host, how long and how hard.

    A load `beside` another one is started with it on every host and held as long: CPU, memory and disk while the
    accelerators burn. `delay` is when it starts after the other one, `stagger` what lies between the starts of one
    host and the next, both in rack seconds: so a rack's draw is ramped up and not switched on.
    """

    kind: Literal["accelerator", "cpu", "memory", "disk", "network"]
    tool: Name
    seconds: Positive
    limit: Positive
    """Rack seconds after which the host itself ends it, whatever has become of the station."""
    intensity: Fraction = 1.0
    beside: Name | None = None
    delay: NotNegative = 0.0
    stagger: NotNegative = 0.0
    adds_up: bool = False
    """Whether the time under this load adds up across a break of the run. By default it does not: the resumed run holds
    the load for its whole time again. Of a leading load only."""
    directory: Text | None = None
    """On the host: where a disk load keeps its file."""
    size: PositiveInt | None = None
    """MiB: of the file of a disk load, of the memory that a memory load tests."""


class Interlock(Frozen):
    """A condition watched throughout the run: a quantity of a role, the bounds it must stay in, and what follows.

    The role `station` is the station itself (`harness.rack.vocabulary.STATION`). A value out of bounds has to stay so
    for `samples` samples in a row and for `hold` wall seconds; of redundant sensors of one device `votes` have to
    agree, less one for each that gives no good reading. Unless said they are 1, 0 and 1: the first such value trips.

    `blames` says whose failing a trip is: the rack's (FAIL) or the rig's (ABORTED). `max_silence` (wall seconds) is how
    long the quantity may go without a good reading, `when_silent` what that means: a trip blamed on the rig, or a
    record of the gap, with which the present step is inconclusive. `cut_power` says when `make_safe` switches the
    outlets off.
    """

    role: Role | Literal["station"]
    quantity: Text
    unit: Unit
    min: Finite | None = None
    max: Finite | None = None
    samples: PositiveInt = 1
    hold: NotNegative = 0.0
    votes: PositiveInt = 1
    blames: Literal["rack", "rig"]
    max_silence: Positive
    when_silent: Literal["trip", "record"]
    cut_power: Literal["never", "when_cool", "at_once"]
    advice: Text
    source: Text


class Sampling(Frozen):
    """How often each role is sampled, in rack seconds; a profile's polling floor may slow it down."""

    periods: dict[Role, Positive]
    segment: Positive = 60.0
    """Telemetry is sealed into a segment this often, in wall seconds."""
    leaks: Positive = 0.25
    """Leak detectors are read this often beside the sweeps, in wall seconds, where those are slower than twice this."""


class MakeSafe(Frozen):
    """How the rack is made safe: when it counts as cool, and how long each action may take."""

    cool_below: Finite
    """degC, of every accelerator."""
    cooling_time: Positive
    """How long to wait for that at most, in rack seconds, before the outlets are cut all the same."""
    action_time: Positive
    """How long one action on one device may take, in wall seconds."""


class ProcessorPlates(Frozen):
    """Cold plates of the processors of one tray, in the simulated rack; without any their heat is the tray's.

    Defaults: a plate over a pair of 72-core processors (engineering judgement).
    """

    count: Annotated[int, Field(ge=0)] = 0
    power: Positive = 450.0
    """W on each; part of `tray_power`."""
    resistance: Positive = 0.055
    """K/W."""
    capacity: Positive = 220.0
    """J/K."""
    flow: Positive = 0.5
    """L/min at nominal pressure."""


class HydraulicConstants(Frozen):
    """Pressures and pumps of the simulated coolant loop. Drops are in kPa at the rated flow.

    Defaults: a vendor's cold plate with 20 kPa at its flow; all others engineering judgement, consistent with it.
    """

    plate_drop: Positive = 22.0
    coupling_drop: Positive = 33.0
    """Hoses and quick disconnects of a tray."""
    manifold_drop: NotNegative = 13.75
    cdu_drop: Positive = 56.25
    """Filter, exchanger and pipes of the CDU."""
    pump_head: Positive = 300.0
    """kPa of one pump at full speed against a closed valve."""
    pump_loss: Positive = 40.0
    """kPa lost in a pump at its share of the rated flow."""
    arrangement: Literal["parallel", "standby"] = "parallel"
    """Whether all pumps run together, or one with the others waiting."""
    standby_delay: NotNegative = 1.0
    """Seconds until the controller calls the next pump."""
    ln_viscosity: tuple[Finite, ...] = (-5.217937, -0.04509897, 3.071168e-4, -1.001816e-6)
    """ln of the coolant's viscosity in Pa s, polynomial in degC; PG25 (CoolProp INCOMP::APG[0.25]) unless said."""
    reservoir_volume: Positive = 5.0
    """L."""
    static_pressure: Positive = 120.0
    """kPa at the pumps' suction when the loop is filled."""


class SupplyConstants(Frozen):
    """The electrical side of the simulated rack.

    Defaults: an Open Rack v3 high-power supply, best at half load with 97.2 % (its data sheets: 96 to 98.5 %).
    """

    rating: Positive | None = None
    """W of one shelf supply; unless said 5500, or what lets half of them carry the rack."""
    losses: tuple[NotNegative, NotNegative, NotNegative] = (0.004, 0.012, 0.016)
    """Lost in a supply, as shares of its rating: at rest, and in proportion to its load and to the load squared."""
    bus_resistance: NotNegative = 2.0e-5
    """Ohm of the bus bar between shelves and trays."""
    breaker: Positive | None = None
    """A of the breaker behind each outlet; unless said 32, or half as much again as a supply draws at its rating."""
    phases: Literal[1, 3] = 3
    """Of a PDU; outlets are on them in turn."""


class Physics(Frozen):
    """Constants of the simulated rack only; no check reads them."""

    idle_power: Positive
    """W, of one accelerator."""
    full_power: Positive
    """W, of one accelerator."""
    tray_power: Positive
    """W, of one tray without its accelerators (CPUs, memory, NICs)."""
    liquid_share: Fraction
    """Share of tray power (accelerators included) that goes to the coolant; the rest goes to air."""
    plate_resistance: Positive
    """K/W, junction to coolant, of a clean cold plate at nominal flow."""
    plate_capacity: Positive
    """J/K."""
    plate_flow: Positive
    """L/min through one cold plate at nominal pressure."""
    loop_volume: Positive
    """L."""
    supply_setpoint: Finite
    """degC."""
    facility_temperature: Finite
    """degC."""
    exchanger_conductance: Positive
    """W/K at nominal flow."""
    switch_power: Positive
    """W."""
    bus_voltage: Positive
    """V, DC."""
    line_voltage: Positive
    """V, AC."""
    switch_tray_power: NotNegative = 0.0
    """W from the bus bar, of one switch tray."""
    switch_tray_flow: NotNegative = 0.0
    """L/min through the plates of one switch tray at nominal pressure."""
    board_sensors: Annotated[int, Field(ge=0)] = 0
    """Further sensors of the boards of a tray, as its BMC lists them beside those of its parts."""
    plate_share: Fraction | None = None
    """Share of the heat of what sits on a cold plate that the plate takes, where it is not `liquid_share`."""
    tray_share: Fraction | None = None
    """Share of the heat of all the rest of a tray that the coolant takes, where it is not `liquid_share`."""
    interface_share: Fraction = 0.2
    """Share of the plate's resistance that lies between die and plate; the rest is convective: flow to the -0.6."""
    processors: ProcessorPlates = ProcessorPlates()
    switch_tray_resistance: Positive = 0.032
    """K/W, of all plates of a switch tray together."""
    switch_tray_capacity: Positive = 300.0
    """J/K, likewise."""
    power_limit: Positive | None = None
    """W, that an accelerator holds by its clock however hot it is; 1.05 of `full_power` unless said."""
    leakage: NotNegative = 0.003
    """1/K: by how much an accelerator draws more for each K above its working temperature."""
    slowdown_temperature: Finite = 87.0
    """degC: above it an accelerator loses 2 % of its clock every second."""
    shutdown_temperature: Finite = 105.0
    """degC: above it an accelerator drops out."""
    facility_flow: Positive | None = None
    """L/min of facility water with the valve open; what carries 1.4 of the rack's rated flow unless said."""
    valve_stroke: Positive = 15.0
    """Seconds from shut to open."""
    hydraulics: HydraulicConstants = HydraulicConstants()
    supplies: SupplyConstants = SupplyConstants()


class Model(Frozen):
    """One generation of rack."""

    schema_version: Literal[1]
    name: Name
    revision: Text
    title: Text
    assemblies: dict[Name, Assembly]
    slots: dict[Name, Slot]
    cable_map: tuple[Cable, ...]
    power_map: tuple[PowerFeed, ...]
    coolant: CoolantSpec
    limits: dict[Text, LimitSpec]
    durations: dict[Name, Positive]
    """Rack seconds, by the names the plan uses."""
    loads: dict[Name, LoadSpec]
    interlocks: dict[Name, Interlock]
    sampling: Sampling
    make_safe: MakeSafe
    physics: Physics
    baselines: Text | None = None
    """File of learned baselines, relative to the model's own; see `harness.rack.baselines`."""
