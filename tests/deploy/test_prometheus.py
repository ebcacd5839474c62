"""What is deployed beside the program, seen by the programs that it is for."""

import re
import subprocess

import pytest

from tests.house.files import ROOT
from tests.support.servers import promtool

RULES = ROOT / "deploy/prometheus"
PROMTOOL_S = 60


@pytest.mark.parametrize("asked", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]])
def test_prometheus_takes_the_rules(asked: list[str]) -> None:
    """Prometheus reads the rules; each alert fires for what it is for, after its wait, and alone."""
    done = subprocess.run(
        [promtool.find(), *asked],
        cwd=RULES,
        capture_output=True,
        text=True,
        timeout=PROMTOOL_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr


def test_every_alert_is_seen_to_fire() -> None:
    """Each rule has a case in which it does not fire yet, and then does."""
    rules = re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text(encoding="utf-8"))
    cases = (RULES / "alerts.test.yml").read_text(encoding="utf-8")
    fires = re.findall(r"alertname: (\w+)\n +exp_alerts:\n", cases)
    waits = re.findall(r"alertname: (\w+), exp_alerts: \[\]", cases)
    assert rules == fires == waits
