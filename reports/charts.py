"""Line charts as SVG text: small, the same bytes for the same data, and no spike lost.

Each series is thinned to the lowest and the highest value of every pixel column, in the order of time; a gap in the
telemetry is a gap in the line, never a bridge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from statistics import median

from harness.inert import spelled

Point = tuple[float, float]

COLOURS = ("#1f5fa8", "#c2571a", "#2e7d4f", "#7b4fa0", "#a8323e", "#3d8c95", "#8a6d1b", "#5b6670")
WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 24, 24
_LEGEND_LIMIT = 6
_FONT = 'font-family="Libertinus Serif, Liberation Sans, Helvetica, sans-serif"'


@dataclass(frozen=True, slots=True)
class Chart:
    """What one chart shows. `limits` are drawn as dashed lines."""

    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]
    limits: tuple[float, ...] = ()


_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Accelerator temperature", "°C", ("accelerator.temperature",)),
    ("Coolant temperature", "°C", ("coolant.supply.temperature", "coolant.return.temperature")),
    ("Coolant flow", "L/min", ("coolant.flow",)),
    ("Power", "W", ("tray.power", "input.power")),
)


def run_charts(channels: Mapping[str, Sequence[Point]]) -> tuple[str, ...]:
    """The charts of a run as SVG: temperatures, coolant and power, as far as there is telemetry of them."""
    drawn = []
    for title, unit, quantities in _GROUPS:
        series = {}
        for name in sorted(channels):
            subject, _, quantity = name.partition(".")
            if quantity in quantities and channels[name]:
                label = subject if len(quantities) == 1 or title == "Power" else quantity.split(".")[1]
                series[label if label not in series else name] = channels[name]
        if series:
            drawn.append(draw(Chart(title, unit, _dense(series))))
    return tuple(drawn)


def _dense(series: dict[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """Those that were sampled often enough to be drawn beside the densest: straight lines over a gap tell a lie."""
    most = max(len(points) for points in series.values())
    return {name: points for name, points in series.items() if 4 * len(points) >= most}


def draw(chart: Chart) -> str:
    """The chart as one SVG element of 640 by 200 units; time runs in minutes from the first sample."""
    points = [point for line in chart.series.values() for point in line if _finite(point)]
    if not points:
        return _frame(chart, [f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no samples</text>'])
    begin, end = min(t for t, _ in points), max(t for t, _ in points)
    values = [v for _, v in points] + list(chart.limits)
    ticks = _ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    span = max(end - begin, 1.0)

    def x(t: float) -> float:
        return _LEFT + (t - begin) / span * (WIDTH - _LEFT - _RIGHT)

    def y(v: float) -> float:
        return HEIGHT - _BOTTOM - (v - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    body = []
    for tick in ticks:
        body.append(
            f'<line x1="{_LEFT}" y1="{y(tick):.1f}" x2="{WIDTH - _RIGHT}" y2="{y(tick):.1f}" stroke="#dde1e5"/>'
        )
        body.append(f'<text x="{_LEFT - 5}" y="{y(tick) + 3:.1f}" text-anchor="end">{tick:g}</text>')
    for minute in _ticks(0.0, span / 60, inside=True):
        body.append(f'<text x="{x(begin + minute * 60):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{minute:g}</text>')
    body.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 8}" text-anchor="end" fill="#5b6670">min</text>')
    for limit in chart.limits:
        body.append(
            f'<line x1="{_LEFT}" y1="{y(limit):.1f}" x2="{WIDTH - _RIGHT}" y2="{y(limit):.1f}" '
            'stroke="#a8323e" stroke-dasharray="5 3"/>'
        )
    colours = _colours(chart)
    for name, line in chart.series.items():
        colour = colours[_group(chart, name)]
        for piece in pieces(line):
            thin = decimate(piece, begin, span, WIDTH - _LEFT - _RIGHT)
            path = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v in thin)
            body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.1"/>')
    return _frame(chart, body)


def pieces(line: Sequence[Point]) -> list[list[Point]]:
    """A series cut where it has a hole: more than four usual intervals, or a value that is no number."""
    steps = [b[0] - a[0] for a, b in pairwise(line) if b[0] > a[0]]
    longest = 4 * median(steps) if steps else math.inf
    found: list[list[Point]] = []
    last: float | None = None
    for point in line:
        if not _finite(point):
            last = None
            continue
        if last is None or point[0] - last > longest:
            found.append([])
        found[-1].append(point)
        last = point[0]
    return found


def decimate(line: Sequence[Point], begin: float, span: float, columns: int) -> list[Point]:
    """At most two points a column, its lowest and its highest, in the order of time."""
    kept: list[Point] = []
    column: list[Point] = []
    number = -1
    for point in line:
        at = min(columns - 1, int((point[0] - begin) / span * columns))
        if at != number:
            kept += _extremes(column)
            column, number = [], at
        column.append(point)
    return kept + _extremes(column)


def _extremes(column: list[Point]) -> list[Point]:
    if len(column) <= 2:
        return column
    low, high = min(column, key=lambda p: p[1]), max(column, key=lambda p: p[1])
    return sorted({low, high})


def _finite(point: Point) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _ticks(low: float, high: float, *, inside: bool = False) -> list[float]:
    """Round numbers that cover the range (or lie inside it), at most seven."""
    spread = max(high - low, abs(high) * 0.02, 1e-6)
    raw = spread / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw)
    first = math.floor(low / step)
    last = math.floor(high / step) if inside else math.ceil(high / step)
    if last == first:
        last += 0 if inside else 1
    return [round(n * step, 9) for n in range(first, last + 1)]


def _group(chart: Chart, name: str) -> str:
    """What a series is drawn as: itself, or its slot where there are too many; a tray and its host watch one thing."""
    return name if len(chart.series) <= _LEGEND_LIMIT else name.partition("/")[0].removesuffix("-host")


def _colours(chart: Chart) -> dict[str, str]:
    groups = dict.fromkeys(_group(chart, name) for name in chart.series)
    return {group: COLOURS[index % len(COLOURS)] for index, group in enumerate(groups)}


def _frame(chart: Chart, body: list[str]) -> str:
    legend, at = [], float(WIDTH - _RIGHT)
    colours = _colours(chart)
    for name, colour in reversed(colours.items()) if len(colours) > 1 else ():
        legend.append(f'<text x="{at:.1f}" y="14" text-anchor="end" fill="{colour}">{escape(spelled(name))}</text>')
        at -= 5.2 * len(name) + 12
    title = f"{chart.title} in {chart.unit}" if chart.unit else chart.title
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'{_FONT} font-size="10" fill="#20262c">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="14" font-size="11.5" font-weight="bold">{escape(spelled(title))}</text>'
        + "".join(legend)
        + "".join(body)
        + "</svg>\n"
    )
