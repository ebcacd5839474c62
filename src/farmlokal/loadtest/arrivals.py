"""When requests are due: as a Poisson process has it, whatever the server does meanwhile."""

from collections.abc import Iterator, Sequence
from random import Random


def poisson(rates: Sequence[float], seconds: float, draw: Random) -> Iterator[float]:
    """Seconds after the start, in order. `rates` are arrivals a second, each for an equal part of all."""
    part_s = seconds / len(rates)
    for number, rate in enumerate(rates):
        at, end = number * part_s, (number + 1) * part_s
        while True:  # a Poisson process begun anew at the border is still one
            at += draw.expovariate(rate)
            if at >= end:
                break
            yield at
