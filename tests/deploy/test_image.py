"""The image, built and started: by `make image`, for it takes a minute and the first time 50 MB more."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.deploy.buildah import Builder, contained
from tests.faults.processes import OwnedProcess
from tests.support.server import Caller
from tests.support.servers.place import ROOT, free_port

NAME = "localhost/farmlokal-backend"

SECRETS = ("password", "secret", "token", "key")


class Image(NamedTuple):
    """Its files, and its configuration as an engine reads it."""

    root: Path
    configuration: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        pairs = (each.partition("=") for each in self.configuration["Env"])
        return {name: value for name, _, value in pairs}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What a command in it prints."""
        return subprocess.run(
            contained(self.root, self.environment, command),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once."""
    if os.environ.get("FARMLOKAL_TEST_IMAGE") != "1":
        pytest.skip("the image is built by `make image`")
    with Builder() as builder:
        builder.build(NAME)
        about = json.loads(builder("inspect", "--type", "image", NAME))
        yield Image(builder.unpacked(NAME), about["Docker"]["config"])


def test_it_answers_without_a_variable(image: Image, tmp_path: Path) -> None:
    """Without variables, as a user without a name and with nothing to write but `var` and `/tmp`, it makes
    its secrets and a first catalogue, and answers; its health check agrees."""
    environment = image.environment | {"PORT": str(port := free_port())}

    def answers() -> bool:
        with Caller(port) as caller:
            return caller.ask("/readyz").status == 200

    command = contained(image.root, environment, image.configuration["Cmd"])
    process = OwnedProcess(command, tmp_path / "log", answers)
    try:
        process.start()
        with Caller(port) as caller:
            assert len(caller.ask("/api/products").json()["data"]) == 20
            assert caller.ask("/metrics").status == 401
        well = subprocess.run(contained(image.root, environment, ["healthy"]), timeout=20, check=False)
        assert well.returncode == 0
        assert process.terminate(25) == 0
    finally:
        process.kill()
    ill = subprocess.run(
        contained(image.root, environment, ["healthy"]), capture_output=True, timeout=20, check=False
    )
    assert ill.returncode == 1


def test_nothing_of_it_can_be_changed_by_who_runs_in_it(image: Image) -> None:
    """It runs as a user that is not root, and owns no file of the program."""
    assert image.configuration["User"] == "10001:10001"
    done = image.run("sh", "-c", "id -u && touch /opt/farmlokal/x /srv/farmlokal/x")
    assert done.stdout == "10001\n"
    assert done.stderr.count("Read-only file system") == 2
    for path in (image.root / "opt").rglob("*"):
        about = path.lstat()
        assert about.st_uid == 0
        assert stat.S_ISLNK(about.st_mode) or not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_it_says_what_it_is_and_what_it_carries(image: Image) -> None:
    """It has the labels of OCI, a health check, and a bill of materials with the versions of the lock."""
    labels = image.configuration["Labels"]
    assert labels["org.opencontainers.image.licenses"] == "MIT"
    assert image.configuration["Healthcheck"]["Test"] == ["CMD", "healthy"]
    carried = json.loads((image.root / "opt/farmlokal/sbom.cdx.json").read_text())["components"]
    lock = (ROOT / "requirements/image.lock").read_text()
    assert len(carried) > 25
    assert not [each["name"] for each in carried if f"{each['name']}=={each['version']}" not in lock]
    done = image.run("python", "-c", "import asyncmy, redis, farmlokal.app")
    assert done.returncode == 0, done.stderr


def test_it_carries_no_secret_and_no_tool_of_the_build(image: Image) -> None:
    """No variable of it is a secret, and neither the configuration of pip nor what built it is in it."""
    assert not [name for name in image.environment if any(word in name.lower() for word in SECRETS)]
    assert not (image.root / "build").exists()
    assert not (image.root / "etc/pip.conf").exists()
    assert not list((image.root / "opt").rglob("uv_build*"))
    assert not list((image.root / "srv/farmlokal/var").iterdir())
