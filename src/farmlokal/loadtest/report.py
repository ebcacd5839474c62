"""What a run says of itself: a few lines for a terminal, one HTML file with its plots inside for keeping."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from farmlokal.loadtest.goals import Goal
from farmlokal.loadtest.tally import OUTCOMES, Part, Tally

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
WIDTH, HEIGHT, LEFT, BOTTOM = 860, 240, 60, 24
COLOURS = {
    "good": "#2d7d46",
    "refused": "#d79a2a",
    "failed": "#b00020",
    "other": "#7a5c99",
    "unanswered": "#444",
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-size:13px}
td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"""

LATE_US = 10_000
"""From this on at the 99th percentile the load generator itself was slow, and the report says so."""


def rows(tally: Tally) -> list[tuple[str, ...]]:
    """A head, a row a scenario, and one for all."""
    head = ("scenario", "arrivals", *OUTCOMES, *(f"p{each:g} ms" for each in PERCENTILES), "max ms")
    parts = [*sorted(tally.kinds.items()), ("all", tally.total)]
    return [head, *((name, *_cells(part)) for name, part in parts)]


def notes(tally: Tally) -> list[str]:
    """What the figures do not say."""
    said = [f"{tally.goodput:,.0f} good answers a second over {tally.seconds:g} s."]
    if tally.statuses:
        said.append(
            "Not 2xx: " + ", ".join(f"{count:,} × {what}" for what, count in tally.statuses.most_common(9))
        )
    late_us = tally.lateness.percentile_us(99)
    if late_us > LATE_US:
        said.append(f"The load generator itself was late by {late_us / 1000:.0f} ms (p99): read with care.")
    return said


def text(tally: Tally, goals: Sequence[Goal]) -> str:
    """For a terminal."""
    table = rows(tally)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in table
    ]
    return "\n".join([*lines, *notes(tally), *(_verdict(goal, tally) for goal in goals)])


def page(tally: Tally, goals: Sequence[Goal], title: str) -> str:
    """One HTML file that loads nothing."""
    head, *body = rows(tally)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}' for cell in row)}</tr>" for row in body)
    said = "".join(f"<p>{escape(each)}</p>" for each in notes(tally))
    verdicts = "".join(f"<li>{escape(_verdict(goal, tally))}" for goal in goals)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>{said}<ul>{verdicts}</ul>"
        f"<table><tr>{''.join(f'<th>{escape(cell)}' for cell in head)}</tr>{lines}</table>"
        "<p>Durations count from the instant at which a request was due, of those that were answered with"
        " 2xx or not at all. 429 and 5xx are counted apart.</p>"
        f"<h2>Duration by percentile, ms</h2>{_percentiles(tally)}"
        f"<h2>p50 and p99 by second, ms</h2>{_over_time(tally)}"
        f"<h2>Outcomes by second</h2>{_outcomes(tally)}</html>\n"
    )


def _cells(part: Part) -> Iterator[str]:
    yield f"{part.arrivals:,}"
    for outcome in OUTCOMES:
        yield f"{part.outcomes[outcome]:,}"
    for percent in PERCENTILES:
        yield f"{part.durations.percentile_us(percent) / 1000:.1f}"
    yield f"{part.durations.greatest_us / 1000:.1f}"


def _verdict(goal: Goal, tally: Tally) -> str:
    word = "met" if goal.met(tally) else "missed"
    return f"goal {goal.text}: {goal.measured(tally):.4g}, {word}"


def _percentiles(tally: Tally) -> str:
    """Across: the share that was slower, by tens: 50 %, 10 %, 1 %, 0.1 %. Up: milliseconds, by tens."""
    ends = [1 - 0.5 ** (number / 4) for number in range(60)]
    most = 1 - 1 / max(2, tally.total.durations.count)
    shares = [share for share in ends if share <= most]
    width = -math.log10(1 - most)
    found = [
        (-math.log10(1 - share) / width, tally.total.durations.percentile_us(share * 100) / 1000)
        for share in shares
    ]
    marks = [
        (-math.log10(1 - each / 100) / width, f"p{each:g}") for each in PERCENTILES if each / 100 <= most
    ]
    return _plot([(found, "#2d7d46")], marks, logarithmic=True)


def _over_time(tally: Tally) -> str:
    def line(percent: float) -> list[tuple[float, float]]:
        return [
            (second / tally.seconds, part.durations.percentile_us(percent) / 1000)
            for second, part in sorted(tally.timeline.items())
        ]

    return _plot([(line(50), "#3b6ea5"), (line(99), "#b5542a")], _seconds(tally), logarithmic=True)


def _outcomes(tally: Tally) -> str:
    lines = []
    for outcome in OUTCOMES:
        if tally.total.outcomes[outcome]:
            points = [
                (second / tally.seconds, float(part.outcomes[outcome]))
                for second, part in sorted(tally.timeline.items())
            ]
            lines.append((points, COLOURS[outcome]))
    legend = " · ".join(
        f'<span style="color:{COLOURS[outcome]}">{outcome} {tally.total.outcomes[outcome]:,}</span>'
        for outcome in OUTCOMES
    )
    return f"<p>{legend}</p>{_plot(lines, _seconds(tally), logarithmic=False)}"


def _seconds(tally: Tally) -> list[tuple[float, str]]:
    return [(share / 4, f"{tally.seconds * share / 4:.0f} s") for share in range(5)]


def _plot(
    lines: Sequence[tuple[Sequence[tuple[float, float]], str]],
    marks: Sequence[tuple[float, str]],
    *,
    logarithmic: bool,
) -> str:
    """Lines of (0 to 1, value); `marks` are names along the bottom."""
    values = [value for points, _ in lines for _, value in points] or [1.0]
    low, high = max(0.01, min(values)), max(0.02, *values)
    wide, tall = WIDTH - LEFT - 10, HEIGHT - BOTTOM - 10

    def up(value: float) -> float:
        if logarithmic:
            share = math.log10(max(value, low) / low) / max(math.log10(high / low), 1e-9)
        else:
            share = value / high
        return HEIGHT - BOTTOM - share * tall

    drawn = [
        '<path fill="none" stroke="{}" stroke-width="2" d="M{}"/>'.format(
            colour, "L".join(f"{LEFT + at * wide:.1f} {up(value):.1f}" for at, value in points)
        )
        for points, colour in lines
        if points
    ]
    drawn += [
        f'<text x="{LEFT + at * wide:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{escape(name)}</text>'
        for at, name in marks
    ]
    drawn += [_grid(value, up) for value in _ticks(low, high, logarithmic=logarithmic)]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-size="12" role="img">{"".join(drawn)}</svg>'


def _grid(value: float, up: Callable[[float], float]) -> str:
    y = up(value)
    return (
        f'<path d="M{LEFT} {y:.1f}H{WIDTH - 10}" stroke="#ddd"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    )


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    if not logarithmic:
        return [float(f"{high * share / 4:.3g}") for share in range(5)]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for power in powers for step in (1, 2, 5) if low <= (tick := step * 10.0**power) <= high]
