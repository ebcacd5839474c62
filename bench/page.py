"""The report page: one HTML file with its plots inside, that loads nothing."""

from collections.abc import Iterator
from html import escape
from typing import Any

WIDTH, LABEL, BAR = 860, 190, 18
COLOURS = {
    "ours": "#2d7d46",
    "express": "#b5542a",
    "express, no limit": "#d79a7a",
    "nginx": "#3b6ea5",
    "bare": "#7a5c99",
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-size:13px}
td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}svg{max-width:100%;height:auto}
.missed{color:#b00}.met{color:#2d7d46}"""


def of(run: dict[str, Any]) -> str:
    """The page of a run of `bench.speed`, as `report.read` gives it."""
    machine, parameters, results = run["machine"], run["parameters"], run["results"]
    told = (
        f"{machine['cores']} cores of {machine['cpu']}, CPython {machine['python']}, commit {run['commit']}"
    )
    asked = ", ".join(f"{name} {value}" for name, value in parameters.items())
    plots = "".join(f"<h2>{escape(name)}</h2>{_plot(contenders)}" for name, contenders in _workloads(results))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Speed</title><style>{STYLE}</style>"
        "<h1>What a request costs</h1>"
        f"<p>{escape(told)}<br>{escape(asked)}</p>"
        "<p>Microseconds of processor time of the server for a good answer: median, and the least and the"
        " greatest of the interleaved rounds as a line. Shorter is better.</p>"
        f"{plots}<h2>All figures</h2>{_table(results)}</html>\n"
    )


def _workloads(results: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((name, each) for name, each in results.items() if isinstance(each, dict))


def _plot(contenders: dict[str, Any]) -> str:
    """One bar a contender, all of one workload to one scale."""
    shown = [(name, one) for name, one in contenders.items() if "cpu_us" in one]
    greatest = max((one["cpu_us"]["greatest"] for _, one in shown), default=1.0)
    scale = (WIDTH - LABEL - 90) / greatest
    rows = []
    for number, (name, one) in enumerate(shown):
        y, cost = number * (BAR + 8) + 4, one["cpu_us"]
        end, least, most = (LABEL + cost[key] * scale for key in ("median", "least", "greatest"))
        middle = y + BAR / 2
        rows.append(
            f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LABEL}" y="{y}" width="{end - LABEL:.1f}" height="{BAR}" fill="{COLOURS[name]}"/>'
            f'<path d="M{least:.1f} {middle}H{most:.1f}" stroke="#222" stroke-width="2"/>'
            f'<text x="{max(end, most) + 6:.1f}" y="{y + 14}">{cost["median"]:,.0f}</text>'
        )
    height = len(shown) * (BAR + 8) + 8
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-size="13"'
        f' role="img">{"".join(rows)}</svg>'
    )


def _table(results: dict[str, Any]) -> str:
    head = "<tr><th>workload<th>contender<th>µs CPU<th>requests/s<th>CPU, theirs ÷ ours<th>bar</tr>"
    lines = []
    for workload, contenders in _workloads(results):
        for name, one in contenders.items():
            if "cpu_us" not in one:
                continue
            ratio, bar = one.get("cpu_to_ours"), one.get("bar")
            word = "met" if one.get("met") else "missed"
            verdict = "" if bar is None else f'<span class="{word}">≥ {bar:g} {word}</span>'
            figure = "" if ratio is None else f"{ratio['median']:.2f} ({_between(ratio, 2)})"
            cost = f"{one['cpu_us']['median']:,.0f} ({_between(one['cpu_us'], 0)})"
            lines.append(
                f"<tr><td>{escape(workload)}<td>{escape(name)}<td>{cost}"
                f"<td>{one['requests_s']['median']:,.0f}<td>{figure}<td>{verdict}</tr>"
            )
    return f"<table>{head}{''.join(lines)}</table>"


def _between(spread: dict[str, float], digits: int) -> str:
    return f"{spread['least']:,.{digits}f}–{spread['greatest']:,.{digits}f}"
