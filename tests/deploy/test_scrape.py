"""A real Prometheus reads a production server's metrics, by the files that compose.yaml gives it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.processes import OwnedProcess, wait_until
from tests.support.catalogue import new_database
from tests.support.server import environment, serving
from tests.support.servers.packages import unpacked
from tests.support.servers.place import ROOT, free_port

KEY = "0123456789abcdefghijklmnopqrstuvwxyz"

SETTINGS = {
    "FARMLOKAL_PROFILE": "production",
    "FARMLOKAL_SECRET_KEY": KEY,
    "FARMLOKAL_WEBHOOK_SECRETS": KEY,
}


@pytest.fixture
def program() -> list[str | Path]:
    """How Prometheus is started: the machine's, or its distribution's."""
    if os.environ.get("FARMLOKAL_TEST_IMAGE") != "1":
        pytest.skip("a Prometheus is fetched by `make image`")
    own = shutil.which("prometheus")
    package = "prometheus-server"  # a name of its own: the other tools of the package need less of it
    return [own] if own else unpacked(package, ["prometheus"]).command("usr/bin/prometheus")


def prepare(folder: Path, database: Path) -> None:
    """What is done before any instance, in a container whose folder this is."""
    programs = Path(sys.executable).parent
    variables = environment(database, SETTINGS) | {"PATH": f"{programs}:{os.environ['PATH']}"}
    script = ROOT / "deploy/compose/prepare"
    done = subprocess.run(
        ["sh", script], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_prometheus_gets_a_token_and_the_numbers(program: list[str | Path], tmp_path: Path) -> None:
    """What is prepared before the first start, and again before each other one, lets Prometheus in; it
    accepts its configuration and the rules of the alerts, and finds the server up."""
    database = new_database(tmp_path)
    (tmp_path / "var").mkdir()
    secret = tmp_path / "var/prometheus-secret"
    prepare(tmp_path, database)
    first = secret.read_text()
    prepare(tmp_path, database)
    assert secret.read_text() == first != ""
    folder = tmp_path / "prometheus"
    shutil.copytree(ROOT / "deploy/prometheus", folder)
    with serving(database, tmp_path / "server.log", SETTINGS) as server:
        here = f"127.0.0.1:{server.port}"
        configuration = (folder / "prometheus.yml").read_text()
        for there, place in {
            '"app1:3000", "app2:3000"': f'"{here}"',
            "haproxy:3000": here,
            "/run/farmlokal/prometheus-secret": str(secret),
            "5s": "1s",
        }.items():
            assert there in configuration
            configuration = configuration.replace(there, place)
        (folder / "prometheus.yml").write_text(configuration)
        _scrape(program, folder, here)


def _scrape(program: list[str | Path], folder: Path, instance: str) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"

    def found(series: str) -> list[Any]:
        answer = requests.get(f"{url}/api/v1/query", {"query": series}, timeout=5)
        return list(answer.json()["data"]["result"])

    command = [
        *program, f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip

    def ready() -> bool:
        try:
            return requests.get(f"{url}/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    process = OwnedProcess(command, folder / "log", ready)
    process.start()
    try:
        wait_until(lambda: bool(found('up{job="farmlokal"} == 1')), "Prometheus finds the server up")
        [build] = found("farmlokal_build_info")
        assert build["metric"]["instance"] == instance
    finally:
        process.kill()
