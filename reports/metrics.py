"""The run as Prometheus metrics on loopback: state, verdict, measurements, devices and the latest telemetry.

Names follow the Prometheus naming practice; a series that is not known is absent, never zero.
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.errors import DefinitionError
from harness.inert import spelled
from harness.journal import events as e
from harness.observing import LiveOptions, Observer
from harness.quantities import Sample
from harness.verdict import Verdict
from reports.board import Board

ADDRESS = "127.0.0.1"


def open_exporter(options: LiveOptions) -> Observer | None:
    """An exporter on loopback; None where no port was asked for. Raises DefinitionError where the port is taken."""
    return None if options.metrics_port is None else Exporter(options.metrics_port)


class Exporter:
    """Serves `/metrics` from what it was told, until it is closed."""

    def __init__(self, port: int) -> None:
        self._board = Board()
        self._lock = threading.Lock()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_BoardCollector(self._board, self._lock))
        try:
            self._server, self._thread = start_http_server(port, ADDRESS, registry)
        except OverflowError:
            raise DefinitionError(f"metrics port {port}: ports go from 0 to 65535") from None
        except OSError as error:
            raise DefinitionError(f"metrics port {port} on {ADDRESS}: {_why(error)}") from None
        self._closed = False

    @property
    def port(self) -> int:
        """The port it listens on; the one that the system chose where 0 was asked for."""
        return int(self._server.server_port)

    def entry(self, entry: e.Entry) -> None:
        """Take an entry in."""
        with self._lock:
            self._board.apply(entry)

    def sampled(self, samples: Sequence[Sample]) -> None:
        """Keep the latest of each channel."""
        with self._lock:
            for sample in samples:
                self._board.sampled(sample)

    def close(self) -> None:
        """Close the port; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "it is taken by another program; give another port, or 0 for any that is free"
    if error.errno == errno.EACCES:
        return "this user may not listen on it; give a port above 1023"
    return f"it cannot be listened on: {error.strerror}"


class _BoardCollector(Collector):
    """Reads the board at every scrape."""

    def __init__(self, board: Board, lock: threading.Lock) -> None:
        self._board = board
        self._lock = lock

    def collect(self) -> Iterable[Metric]:
        """Every series, from one consistent look at the board."""
        with self._lock:
            return [*_run(self._board), *_results(self._board), *_devices(self._board), _telemetry(self._board)]


def _run(board: Board) -> Iterable[Metric]:
    who = board.who
    about = InfoMetricFamily("rackproof_run", "The run that is followed.")
    if board.run_id:
        simulated = str(who.simulated).lower()
        about.add_metric(
            [],
            {"run_id": board.run_id, "serial": spelled(who.serial), "model": who.model, "bay": who.bay}
            | {"simulated": simulated},
        )
    yield about
    state = "finished" if board.finished else "stopping" if board.stop else "running" if board.run_id else "waiting"
    states = GaugeMetricFamily("rackproof_run_state", "1 for the state that the run is in.", labels=["state"])
    for each in ("waiting", "running", "stopping", "finished"):
        states.add_metric([each], float(each == state))
    yield states
    verdict = GaugeMetricFamily(
        "rackproof_run_verdict", "1 for the verdict, once the run is finished.", labels=["verdict"]
    )
    for word in Verdict if board.finished else ():
        verdict.add_metric([word], float(word == board.finished))
    yield verdict
    elapsed = GaugeMetricFamily("rackproof_run_elapsed_seconds", "Rack time since the first event.")
    elapsed.add_metric([], board.elapsed)
    yield elapsed
    steps = GaugeMetricFamily("rackproof_steps", "Planned steps by state.", labels=["state"])
    for each in ("waiting", "running", "done"):
        steps.add_metric([each], float(sum(step.state == each for step in board.steps.values())))
    yield steps
    current = GaugeMetricFamily("rackproof_step_progress_ratio", "How far the running step is.", labels=["step"])
    if board.current and board.progress and board.progress.total > 0:
        current.add_metric([board.current], min(1.0, board.progress.elapsed / board.progress.total))
    yield current


def _results(board: Board) -> Iterable[Metric]:
    judged = CounterMetricFamily("rackproof_measurements", "Measurements by judgement.", labels=["judgement"])
    for judgement, count in board.judged.items():
        judged.add_metric([judgement], float(count))
    yield judged
    latest = {(key, subject): measured for (key, subject, _), measured in board.values.items()}
    names = ["key", "subject", "unit", "judgement"]
    values = GaugeMetricFamily("rackproof_measurement_value", "The latest value of each measurement.", labels=names)
    for (key, subject), measured in latest.items():
        if isinstance(measured.value, int | float) and math.isfinite(measured.value):
            values.add_metric([key, spelled(subject), measured.unit, measured.judgement], float(measured.value))
    yield values
    trips = CounterMetricFamily("rackproof_trips", "Interlocks that tripped.", labels=["interlock", "subject"])
    counted: dict[tuple[str, str], int] = {}
    for trip in board.trips:
        counted[trip.interlock, trip.subject] = counted.get((trip.interlock, trip.subject), 0) + 1
    for (interlock, subject), count in counted.items():
        trips.add_metric([interlock, spelled(subject)], float(count))
    yield trips


def _devices(board: Board) -> Iterable[Metric]:
    up = GaugeMetricFamily("rackproof_device_up", "1 while a device answers its telemetry.", labels=["device"])
    for device in board.devices:
        up.add_metric([device], float(device not in board.lost))
    yield up


def _telemetry(board: Board) -> Metric:
    labels = ["device", "part", "quantity", "unit"]
    values = GaugeMetricFamily("rackproof_telemetry_value", "The latest good sample of each channel.", labels=labels)
    for channel, sample in board.channels.items():
        number = sample.reading.number
        if math.isfinite(number):
            # A part may be named by its device: an ifName is any text, and one lone surrogate would end every scrape.
            row = [channel.device, spelled(channel.part), channel.quantity, str(channel.unit)]
            # No time stamp: rack time runs ahead of the wall in simulation, and a scraper refuses the future.
            values.add_metric(row, number)
    return values
