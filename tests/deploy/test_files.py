"""What is deployed is what it should be: read by the tools that will read it, and by our own settings."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farmlokal.server import DRAIN_S
from farmlokal.settings import Settings
from tests.support.servers.packages import unpacked
from tests.support.servers.place import ROOT, Missing

DEPLOY = ROOT / "deploy"

OVERLAYS = sorted((DEPLOY / "kubernetes/overlays").iterdir())

SECRETS = {
    "database-url": "mysql://farmlokal:canary@database.example:3306/farmlokal",
    "redis-url": "rediss://redis.example:6379",
    "secret-key": "0123456789abcdefghijklmnopqrstuvwxyz",
    "webhook-secrets": "0123456789abcdefghijklmnopqrstuvwxyz",
}
"""What an operator would write into the files of secrets."""


def tool(name: str) -> Path:
    """A program of requirements/deploy.lock."""
    program = Path(sys.prefix) / "deploy/bin" / name
    if not program.exists():
        raise Missing(f"no {name} in {program.parent}: `make setup` fetches it")
    return program


def ran(command: Sequence[str | Path], **more: str) -> str:
    """What a command prints, which has nothing against what it read."""
    environment = os.environ | more
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded(environment: Mapping[str, str], secrets: Path, folder: Path) -> Settings:
    """The settings of a container with these variables, its folder of secrets being `secrets`."""
    return Settings.load(
        {name: text.replace(f"{secrets}/", f"{folder}/") for name, text in environment.items()}
    )


def built(overlay: Path) -> tuple[str, dict[str, Any]]:
    """An overlay built by kubectl, the machine's or its package of Debian's unstable: as it stands, and each
    resource by its kind."""
    own = shutil.which("kubectl")
    package = ("kubectl", ["kubernetes-client"], "sid")
    program = [own] if own else unpacked(*package).command("usr/bin/kubectl")
    text = ran([*program, "kustomize", overlay])
    documents = [msgspec.yaml.decode(each) for each in text.split("\n---\n")]
    return text, {each["kind"]: each for each in documents}


def test_the_dockerfile_has_nothing_that_hadolint_minds() -> None:
    """hadolint finds nothing in the Dockerfile, and no line of it is excused."""
    ran([tool("hadolint"), "--no-color", "Dockerfile"])
    assert "hadolint" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_names_the_version_of_the_program() -> None:
    """Unless a build says otherwise the image's label is the version of pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert named
    assert f"\nARG VERSION={named[1]}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_is_given_only_what_it_copies() -> None:
    """The context of the build is what the Dockerfile names: the file beside it lets nothing else in."""
    copied = {
        source.rstrip("/")
        for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
        if not source.startswith("--")
    }
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert all(any(source == each or source.startswith(f"{each}/") for each in let_in) for source in copied)
    assert all(any(source == each or source.startswith(f"{each}/") for source in copied) for each in let_in)


def test_the_overlays_are_what_kubernetes_takes(tmp_path: Path) -> None:
    """Each overlay builds, is valid by the strict schemas of Kubernetes, and its settings are accepted."""
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret, encoding="utf-8")
    for overlay in OVERLAYS:
        text, resources = built(overlay)
        (tmp_path / f"{overlay.name}.yaml").write_text(text, encoding="utf-8")
        settings = loaded(resources["ConfigMap"]["data"], Path("/run/secrets/farmlokal"), tmp_path)
        assert settings.profile == "production"
        assert settings.redis_url is not None
    # All in one process: it takes two seconds to read its schemas.
    ran([tool("kubernetes-validate"), "--strict", "--quiet", *tmp_path.glob("*.yaml")])


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_pods_are_confined_and_have_time_to_leave(overlay: Path) -> None:
    """Each pod is nobody in particular, writes nothing but what it is given, and is told of no service by
    variables that would be settings; the server's has time for what happens before its end."""
    _, resources = built(overlay)
    user = (ROOT / "Dockerfile").read_text(encoding="utf-8").partition("\nUSER ")[2].partition(":")[0]
    for kind in ("Deployment", "Job"):
        pod = resources[kind]["spec"]["template"]["spec"]
        assert pod["enableServiceLinks"] is False
        assert pod["automountServiceAccountToken"] is False
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (
            True,
            int(user),
        )
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "@sha256:" in container["image"] or container["image"].count(":") == 1
    pod = resources["Deployment"]["spec"]["template"]["spec"]
    [server] = pod["containers"]
    waits_s = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > waits_s + DRAIN_S
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        resources["Service"]["spec"]["selector"],
        resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
        assert not selector.items() <= resources["Job"]["spec"]["template"]["metadata"]["labels"].items()


def compose() -> dict[str, Any]:
    """compose.yaml as Docker Compose understands it: the machine's, or its package of Debian's unstable."""
    asked = ["-f", str(ROOT / "compose.yaml"), "config", "--format", "json"]
    plugin = ["docker", "compose", "version"]
    if shutil.which("docker") and subprocess.run(plugin, capture_output=True, check=False).returncode == 0:
        return dict(msgspec.json.decode(ran(["docker", "compose", *asked])))
    package = unpacked("docker-compose", ["docker-compose"], suite="sid")
    program = package.command("usr/libexec/docker/cli-plugins/docker-compose")
    return dict(msgspec.json.decode(ran([*program, *asked])))


def test_compose_is_accepted_and_so_are_its_settings(tmp_path: Path) -> None:
    """Docker Compose accepts compose.yaml; the secrets that its script makes and the settings of its
    instances are accepted by the server, which has time to drain."""
    folder = tmp_path / "deploy/compose"
    shutil.copytree(DEPLOY / "compose", folder)
    ran(["sh", folder / "secrets"])
    made = tmp_path / "var/compose"
    before = {path.name: path.read_text() for path in made.iterdir()}
    ran(["sh", folder / "secrets"])
    assert {path.name: path.read_text() for path in made.iterdir()} == before
    services = compose()["services"]
    for name in ("app1", "app2", "prepare"):
        service = services[name]
        settings = loaded(
            {"FARMLOKAL_PROFILE": "production", "FARMLOKAL_HOST": "0.0.0.0"} | service["environment"],
            Path("/run/secrets"),
            made,
        )
        assert settings.suppliers
        assert settings.database_url.get_secret_value().startswith("mysql://farmlokal:")
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_S
    written = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert not [secret for secret in before.values() if secret in written]


def test_the_balancer_accepts_its_configuration() -> None:
    """HAProxy accepts deploy/compose/haproxy.cfg."""
    own = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
    program = [own] if own else unpacked("haproxy", ["haproxy"]).command("usr/sbin/haproxy")
    ran([*program, "-c", "-f", DEPLOY / "compose/haproxy.cfg"])
