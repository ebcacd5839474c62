"""Numbers as Prometheus reads them (text exposition format 0.0.4), and the sum of several processes' numbers.

Families are values: whoever keeps counts describes them when it is asked, and nothing is registered anywhere.
So there is no global state that two applications in one process would share.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import inf
from typing import Final

from msgspec import Struct

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Kind(StrEnum):
    """What a number is, and so how those of several processes are one: a COUNTER adds up, a GAUGE is added up
    over the processes that live, of WORST the greatest counts, of LEAST the least."""

    COUNTER = "counter"
    GAUGE = "gauge"
    WORST = "worst"
    LEAST = "least"
    HISTOGRAM = "histogram"


class Sample(Struct, frozen=True, array_like=True):
    """One number. `suffix` follows the name of the family: ``_bucket``, ``_sum``, ``_count``."""

    value: float
    labels: Labels = ()
    suffix: str = ""


class Family(Struct, frozen=True, array_like=True):
    """All numbers of one name."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample]


class Histogram:
    """How often a value lay below which bound. The bounds are ours: seconds, ascending."""

    __slots__ = ("counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def samples(self, bounds: Sequence[float], labels: Labels = ()) -> list[Sample]:
        """As Prometheus has it: each bucket counts all below its bound."""
        found, below = [], 0
        for bound, count in zip((*bounds, inf), self.counts, strict=True):
            below += count
            found.append(Sample(below, (*labels, ("le", _number(bound))), "_bucket"))
        return [*found, Sample(self.total, labels, "_sum"), Sample(below, labels, "_count")]


def labelled(name: str, values: Mapping[str, float]) -> list[Sample]:
    """One sample a value of one label."""
    return [Sample(value, ((name, label),)) for label, value in sorted(values.items())]


def merged(processes: Sequence[Sequence[Family]]) -> list[Family]:
    """The families of several processes as one. The first one's help and order count."""
    families: dict[str, Family] = {}
    values: dict[str, dict[tuple[Labels, str], float]] = {}
    for family in (each for process in processes for each in process):
        families.setdefault(family.name, family)
        found = values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.labels, sample.suffix)
            before = found.get(key)
            found[key] = sample.value if before is None else _joined(family.kind, before, sample.value)
    return [
        Family(
            family.name,
            family.kind,
            family.help,
            [Sample(value, labels, suffix) for (labels, suffix), value in values[name].items()],
        )
        for name, family in families.items()
    ]


def without_gauges(families: Iterable[Family]) -> list[Family]:
    """What remains of a process that has ended: what it has counted."""
    return [each for each in families if each.kind in (Kind.COUNTER, Kind.HISTOGRAM)]


def text(families: Iterable[Family]) -> bytes:
    """The exposition."""
    lines = []
    for family in families:
        kind = family.kind if family.kind in (Kind.COUNTER, Kind.HISTOGRAM) else Kind.GAUGE
        lines += [f"# HELP {family.name} {_line(family.help)}", f"# TYPE {family.name} {kind}"]
        lines += [
            f"{family.name}{sample.suffix}{_labels(sample.labels)} {_number(sample.value)}"
            for sample in family.samples
        ]
    return ("\n".join(lines) + "\n").encode()


def _joined(kind: Kind, one: float, other: float) -> float:
    if kind is Kind.WORST:
        return max(one, other)
    return min(one, other) if kind is Kind.LEAST else one + other


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels) + "}"


def _line(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(value: str) -> str:
    return _line(value).replace('"', '\\"')


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)
