"""What a BMC gives in bulk and by itself: metric reports as a source, and events by its stream."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from drivers.bmc.tray import ComputeTray
from drivers.transports.sse import EventSplitter
from harness.capabilities import Severity
from harness.controls import (
    DeviceEvent,
)
from harness.errors import Misbehaved, Unreachable, Unsupported
from harness.quantities import Quality

if TYPE_CHECKING:
    from tests.drivers.redfish_mockups.conftest import Mockup, Run

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
V1 = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{V1}/Systems/S", f"{V1}/Chassis/Tray", f"{V1}/Managers/M"
RESET, LOG = f"{SYSTEM}/Actions/ComputerSystem.Reset", f"{MANAGER}/LogServices/Log"
SENSORS = f"{CHASSIS}/Sensors"
Json = dict[str, Any]


def ref(path: str) -> Json:
    return {"@odata.id": path}


def report(*values: Json) -> Json:
    return {"@odata.id": f"{V1}/TS/R/1", "Id": "1", "MetricValues": list(values)}


def value(name: str, said: Any, *, age: float = 0.0, stale: bool = False, pointer: str = "") -> Json:
    return {
        "MetricProperty": f"{SENSORS}/{name}{pointer}",
        "MetricValue": said,
        "Timestamp": (NOW - timedelta(seconds=age)).isoformat(),
        "Oem": {"Nvidia": {"MetricValueStale": stale}},
    }


def reporting(tree: Mockup, *values: Json) -> None:
    tree.change(V1, TelemetryService=ref(f"{V1}/TS"))
    tree.tree[f"{V1}/TS"] = {"MetricReports": ref(f"{V1}/TS/R")}
    tree.tree[f"{V1}/TS/R"] = {"Members": [ref(f"{V1}/TS/R/1")]}
    tree.tree[f"{V1}/TS/R/1"] = report(*values)


async def readings(tray: ComputeTray) -> dict[str, Any]:
    return {each.channel.quantity: each.reading for each in await tray.sample()}


def test_metric_reports_are_taken_where_they_cover_the_channels(tree: Mockup, run: Run) -> None:
    reporting(tree, value("T", "51.000000"), value("P", "710.5", pointer="#/Reading"))

    async def scenario(tray: ComputeTray) -> None:
        tree.requests.clear()
        found = await readings(tray)
        assert tree.requests == [("GET", f"{V1}/TS/R/1")]
        assert (found["accelerator.temperature"].value, found["accelerator.power"].value) == (51.0, 710.5)
        tree.tree[f"{V1}/TS/R/1"] = report(value("T", "nan"), value("P", "710.5", stale=True))
        found = await readings(tray)
        assert found["accelerator.temperature"].quality is Quality.BAD
        assert found["accelerator.power"].quality is Quality.STALE
        tree.tree[f"{V1}/TS/R/1"] = report(value("T", "51", age=3600), value("T", "52", age=1800))
        found = await readings(tray)
        assert (found["accelerator.temperature"].value, found["accelerator.temperature"].quality) == (
            52.0,
            Quality.STALE,
        )
        assert found["accelerator.power"].quality is Quality.BAD  # it has vanished from the report

    run(tree, scenario)


@pytest.mark.parametrize(
    "bad",
    [value("P", "nan"), value("P", "710", stale=True), value("P", "710", age=5_000_000), value("P", "0.7"), {}],
    ids=["nan", "flagged stale", "two months old", "another unit", "missing"],
)
def test_a_report_that_does_not_say_what_its_sensors_say_is_not_used(tree: Mockup, run: Run, bad: Json) -> None:
    reporting(tree, value("T", "51"), bad)

    async def scenario(tray: ComputeTray) -> None:
        tree.requests.clear()
        found = await readings(tray)
        assert (found["accelerator.temperature"].value, found["accelerator.power"].value) == (50.0, 700.0)
        assert ("GET", f"{V1}/TS/R/1") not in tree.requests

    run(tree, scenario)


async def listen(tray: ComputeTray, idle: float, received: list[DeviceEvent]) -> None:
    async for each in tray.events(idle=idle):
        received.append(each)


def test_events_come_by_the_stream(tree: Mockup, run: Run) -> None:
    first = {"EventId": "7", "MessageSeverity": "Critical", "Message": "leak", "EventTimestamp": NOW.isoformat()}
    second = {"Message": "no MemberId, no EventType"}
    event = {"Id": "1", "Events": [first | {"OriginOfCondition": ref(CHASSIS)}, second]}

    async def stream(request: web.Request, _: Json) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b": hello\n\nid: 1\ndata: " + json.dumps(event).encode() + b"\n\n")
        return answer

    tree.hooks["GET", f"{V1}/EventService/SSE"] = stream

    async def scenario(tray: ComputeTray) -> None:
        received: list[DeviceEvent] = []
        with pytest.raises(Unreachable, match="ended the stream"):
            await listen(tray, 60.0, received)
        assert [(each.ident, each.severity, each.message) for each in received] == [
            ("7", Severity.CRITICAL, "leak"),
            ("", Severity.CRITICAL, "no MemberId, no EventType"),
        ]
        assert (received[0].at, received[0].origin) == (NOW, CHASSIS)

    run(tree, scenario)


@pytest.mark.parametrize(
    ("octets", "error", "words"),
    [
        (b": alive\n\n", Unreachable, "no sign of life"),
        (b"data: {garbage\n\n", Misbehaved, "garbled"),
        (b"data: []\n\n", Misbehaved, "a list instead"),
        (b"data: " + b"x" * 1_100_000, Misbehaved, "longer than"),
    ],
    ids=["silence", "garbage", "no object", "endless event"],
)
def test_a_stream_that_goes_wrong_ends_in_the_right_error(
    tree: Mockup, run: Run, octets: bytes, error: type[Exception], words: str
) -> None:
    done = asyncio.Event()

    async def stream(request: web.Request, _: Json) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(octets)
        await done.wait()
        return answer

    tree.hooks["GET", f"{V1}/EventService/SSE"] = stream

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(error, match=words):
            await listen(tray, 0.3, [])
        done.set()

    run(tree, scenario)


def test_a_stream_that_is_refused_or_not_offered_says_so(tree: Mockup, run: Run) -> None:
    async def full(_: web.Request, __: Json) -> web.StreamResponse:
        return web.json_response({"error": {"message": "too many streams"}}, status=503)

    tree.hooks["GET", f"{V1}/EventService/SSE"] = full

    async def scenario(tray: ComputeTray) -> None:
        with pytest.raises(Unreachable, match="too many streams"):
            await anext(tray.events())

    run(tree, scenario)
    del tree.tree[V1]["EventService"]

    async def without(tray: ComputeTray) -> None:
        with pytest.raises(Unsupported, match="offers no stream"):
            tray.events()

    run(tree, without)


@pytest.mark.parametrize("cut", range(1, 12))
def test_events_are_split_wherever_the_octets_are_cut(cut: int) -> None:
    octets = b"\xef\xbb\xbfdata: a\r\ndata: b\r\n\r\nid: 9\rdata:c\r\r\n"
    splitter = EventSplitter()
    pieces = [octets[at : at + cut] for at in range(0, len(octets), cut)]
    found = [event for piece in pieces for event in splitter.feed(piece)]
    assert [(event.ident, event.data) for event in found] == [("", "a\nb"), ("9", "c")]
