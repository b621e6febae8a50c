"""Events that a BMC sends by itself, over its one stream of server-sent events (DSP0266, 13.5.2; Event 1.11)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import aiohttp

from drivers.bmc.log import severity_of
from drivers.resources.values import entries, instant, link, text
from drivers.transports.redfish import RedfishWire
from drivers.transports.sse import CAP, EventSplitter
from harness.controls import DeviceEvent
from harness.errors import Misbehaved, Unreachable


async def stream_events(
    wire: RedfishWire, uri: str, device: str, now: Callable[[], datetime], *, idle: float, cap: int = CAP
) -> AsyncIterator[DeviceEvent]:
    """The events of the stream at `uri`, as they come; see `harness.controls.EventStream`. `cap` in octets.

    Records without MemberId or EventType are taken as they are (NVIDIA and Wiwynn send such); reports are passed over.
    """
    attempt = f"listen to {uri}"
    splitter = EventSplitter(cap)
    async with wire.stream(uri) as stream:
        while True:
            try:
                async with asyncio.timeout(idle):
                    octets = await stream.readany()
            except TimeoutError as error:
                seen = f"no sign of life for {idle:g} s"
                raise Unreachable(device, attempt, seen, "Listen again; go on sampling meanwhile.") from error
            except (aiohttp.ClientError, OSError) as error:
                seen = f"the stream broke off ({type(error).__name__})"
                raise Unreachable(device, attempt, seen, "Listen again; go on sampling meanwhile.") from error
            if not octets:
                raise Unreachable(device, attempt, "the BMC ended the stream", "Listen again; others may push us out.")
            try:
                received = [found for event in splitter.feed(octets) for found in decode_events(event.data, now())]
            except (ValueError, RecursionError) as error:
                raise Misbehaved(
                    device, attempt, f"the stream is garbled: {error}", "See its firmware's notes."
                ) from error
            for event in received:
                yield event


def decode_events(data: str, now: datetime) -> list[DeviceEvent]:
    """The events in the data of one server-sent event; raises ValueError where it is no JSON object."""
    found: Any = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__} instead of an event")
    return [
        DeviceEvent(
            ident=text(each, "EventId") or text(each, "MemberId"),
            at=instant(each.get("EventTimestamp")) or now,
            severity=severity_of({"Severity": each.get("MessageSeverity") or each.get("Severity")}),
            message=text(each, "Message") or text(each, "MessageId"),
            origin=link(each, "OriginOfCondition"),
        )
        for each in entries(found.get("Events"))
    ]
