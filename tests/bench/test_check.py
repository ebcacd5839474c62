"""The guard against slower requests: what it lets pass and what it does not."""

from typing import Any

from bench.check import TOLERANCE, incomparable, regressions

MACHINE = {"cores": 2, "python": "3.11.7", "cpu": "one"}


def _results(wrong: int = 0, **ours_to_ceiling: float) -> dict[str, Any]:
    """Results of a run in which we cost so many times what the ceiling does."""
    ceilings = {"hot_page": "nginx", "misses": "bare"}
    return {
        name.replace("_", " "): {
            "ours": {"wrong": wrong},
            ceilings[name]: {"wrong": 0, "cpu_to_ours": {"median": 1 / cost}},
        }
        for name, cost in ours_to_ceiling.items()
    }


def test_a_request_that_costs_more_fails_the_check() -> None:
    """A workload whose cost grew by more than the tolerance, in costs of its ceiling, is named with both."""
    before = _results(hot_page=2.0, misses=3.0)
    assert regressions(before, _results(hot_page=2.0, misses=3.0 * (1 + TOLERANCE) * 1.01)) == [
        "misses: 3.79 × bare, was 3.00 × (+26%)"
    ]


def test_what_lies_within_the_tolerance_passes() -> None:
    """Up to the tolerance a workload may cost more, and less by any amount."""
    before = _results(hot_page=2.0, misses=3.0)
    assert regressions(before, _results(hot_page=2.0 * (1 + TOLERANCE) * 0.99, misses=0.1)) == []


def test_a_workload_that_is_not_measured_any_more_fails_the_check() -> None:
    """A workload that was measured before has to be measured, and answered rightly."""
    before = _results(hot_page=2.0)
    complaint = ["hot page: not measured, or answered wrongly"]
    assert regressions(before, {}) == complaint
    assert regressions(before, _results(hot_page=2.0, wrong=1)) == complaint
    assert regressions({}, before) == []


def test_results_of_another_kind_of_machine_are_not_compared() -> None:
    """Cores and the minor version of Python have to be the same; processor and patch release need not."""
    assert incomparable(MACHINE, {**MACHINE, "python": "3.11.9", "cpu": "two"}) is None
    assert "cores 2" in str(incomparable(MACHINE, {**MACHINE, "cores": 8}))
    assert "python 3.11.7" in str(incomparable(MACHINE, {**MACHINE, "python": "3.13.1"}))
