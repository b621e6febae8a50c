"""Main power of a system, and what it starts from next: commanded by the BMC and read back."""

from __future__ import annotations

from dataclasses import replace

from drivers.resources.values import Json, section, text
from drivers.resources.writing import Writer, find_action
from harness.controls import Boot, PowerState
from harness.errors import Unsupported

RESET = "#ComputerSystem.Reset"
# `PushPowerButton` is never sent: what it does depends on the state that the system happens to be in.
_COMMANDS = {
    (PowerState.ON, False): ("On",),
    (PowerState.ON, True): ("ForceOn", "On"),
    (PowerState.OFF, False): ("GracefulShutdown",),
    (PowerState.OFF, True): ("ForceOff",),
}


def power_state(system: Json) -> PowerState:
    """The power state of a ComputerSystem; what is none of its words is unknown."""
    said = text(system, "PowerState")
    return next((state for state in PowerState if state.value == said), PowerState.UNKNOWN)


async def read_power(writer: Writer, path: str) -> PowerState:
    """The power state of the system at `path`; raises DeviceError."""
    return power_state(await writer.wire.get(path))


async def set_power(writer: Writer, path: str, state: PowerState, *, force: bool) -> PowerState:
    """Bring a system to `state` and return once it reads so; see `harness.controls.PowerControl`."""
    if (state, force) not in _COMMANDS:
        raise ValueError(f"power can be set to On or Off, not to {state}")
    attempt = f"switch its power {state}"
    writer = replace(writer, wire=writer.wire.ahead)
    system = await writer.wire.get(path)
    if power_state(system) is state:
        return state
    action = await find_action(writer.wire, system, RESET, "ResetType")
    command = next((each for each in _COMMANDS[state, force] if action is not None and action.takes(each)), "")
    if action is None or not command:
        offered = ", ".join(action.allowed) if action else "no reset at all"
        raise Unsupported(
            writer.device, attempt, f"it offers {offered}", "Use `force` where cutting the power is acceptable."
        )
    lost = await writer.act(attempt, action, {"ResetType": command})
    return await writer.confirm(
        f"{attempt} by {command}", lambda: read_power(writer, path), lambda now: now is state, lost
    )


def boot_of(system: Json) -> Boot:
    """What a system, or its settings object, says it will start from."""
    said = section(system, "Boot")
    return Boot(_plain(said.get("BootSourceOverrideTarget")), _plain(said.get("BootSourceOverrideEnabled")))


async def set_boot(writer: Writer, path: str, target: str, *, once: bool) -> Boot:
    """Direct the next start (or all) of a system; see `harness.controls.BootOverride`."""
    attempt = f"set its boot source to {target}"
    allowed = section(await writer.wire.get(path), "Boot").get("BootSourceOverrideTarget@Redfish.AllowableValues")
    if isinstance(allowed, list) and target not in allowed:
        raise Unsupported(writer.device, attempt, f"it offers {', '.join(map(str, allowed))}", "Choose one of these.")
    enabled = "Disabled" if target == "None" else "Once" if once else "Continuous"
    change = {"Boot": {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled}}
    written, lost = await writer.patch(attempt, path, change)

    async def look() -> Boot:
        return boot_of(await writer.wire.get(written))

    wanted = Boot(target, enabled)
    return await writer.confirm(
        attempt, look, lambda now: now == wanted or (enabled == now.enabled == "Disabled"), lost
    )


def _plain(value: object) -> str:
    """A word of the standard; `None` is one of them, so it is not read as nothing."""
    return value if isinstance(value, str) else ""
