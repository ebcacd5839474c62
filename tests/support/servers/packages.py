"""Programs of a distribution's packages, unpacked into the cache: downloaded by apt, nothing is installed.

What is unpacked has all that it needs, its C library too, and is started through its own loader: so the
packages may be of a newer release than the machine.
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.servers.place import OutOfReach, cache_folder, one_at_a_time

DOWNLOAD_S = 180
"""Longest a download may take: MySQL and what it needs are 60 MB."""

KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unpacked(NamedTuple):
    """The folder that holds what would be installed at `/`."""

    root: Path

    def command(self, program: str) -> list[str | Path]:
        """How a program below the root is started."""
        # Older releases keep their C library in /lib, newer ones in /usr/lib.
        places = [*self.root.glob("usr/lib/*-linux-gnu*"), *self.root.glob("lib/*-linux-gnu*")]
        loader = next(found for place in places for found in place.glob("ld-linux-*.so.*"))
        libraries = [*places, self.root / "usr/lib/mysql/private"]
        return [loader, "--library-path", ":".join(map(str, libraries)), self.root / program]


def unpacked(
    name: str,
    packages: Sequence[str],
    suite: str | None = None,
    without: Sequence[str] = (),
    *,
    alone: bool = False,
) -> Unpacked:
    """These packages and all that they need, but for those `without` which they are to run, or just they
    `alone`: of the machine's own release, or of another suite of Debian.

    Raises `OutOfReach` where there is no apt or it cannot be had.
    """
    cache = cache_folder(name)
    with one_at_a_time(cache):
        root = cache / "root"
        if not root.exists():
            for tool in ("apt-get", "dpkg-deb"):
                if shutil.which(tool) is None:
                    raise OutOfReach(f"no {name} on this machine, and no {tool} to fetch it with: install it")
            _download(cache, name, packages, suite, alone)
            _unpack(cache, without)
    return Unpacked(root)


def _download(cache: Path, name: str, packages: Sequence[str], suite: str | None, alone: bool) -> None:
    for folder in ("state/lists/partial", "archives/partial"):
        (cache / folder).mkdir(parents=True, exist_ok=True)
    # Nothing counts as installed, so apt fetches everything that is needed.
    (cache / "status").write_text("")
    lines = {
        "Dir::State": cache / "state",
        "Dir::State::status": cache / "status",
        "Dir::Cache": cache,
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "1",
    }
    if suite:
        (cache / "sources.list").write_text(f"deb [signed-by={KEYS}] {_site(name)} {suite} main\n")
        lines |= {"Dir::Etc::SourceList": cache / "sources.list", "Dir::Etc::SourceParts": "/dev/null"}
    configuration = cache / "apt.conf"
    configuration.write_text("".join(f'{option} "{value}";\n' for option, value in lines.items()))
    fetch = ["download"] if alone else ["install", "--download-only"]
    for work in (["update"], [*fetch, *packages]):
        _apt(name, ["-c", str(configuration), "-qq", "-y", *work], cache / "archives")


def _apt(name: str, arguments: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            ["apt-get", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OutOfReach(f"{name} could not be fetched by apt-get in {DOWNLOAD_S} s") from None
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise OutOfReach(f"{name} could not be fetched by apt-get: {reason}")


def _site(name: str) -> str:
    """Where this machine gets Debian's packages: apt is asked, so that no file names a mirror."""
    asked = ["apt-get", "indextargets", "--format", "$(SITE)"]
    sites = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()
    debian = sorted({site for site in sites if site.rstrip("/").endswith("/debian")})
    if not debian or not KEYS.exists():
        raise OutOfReach(f"no {name} on this machine, which is no Debian to fetch it for: install it")
    return debian[0]


def _unpack(cache: Path, without: Sequence[str]) -> None:
    making = cache / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    for package in sorted((cache / "archives").glob("*.deb")):
        if package.name.partition("_")[0] in without:
            continue
        subprocess.run(["dpkg-deb", "-x", package, making], check=True, capture_output=True)
    for each in ("archives", "state"):
        shutil.rmtree(cache / each)
    making.rename(cache / "root")
