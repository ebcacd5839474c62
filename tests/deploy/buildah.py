"""Builds an image where no Docker engine is: buildah and a base image, both of the distribution's packages.

Buildah runs in the folder that it was unpacked into, as if that were the whole machine, because it starts
itself again by its path and finds its libraries at theirs. Mounts are made in a namespace of their own and
end with the command. It builds under chroot isolation: the steps of the build see the machine's network.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.servers.packages import unpacked
from tests.support.servers.place import ROOT, Missing, own_folder

TOOLS = ["buildah", "base-files", "coreutils", "dash", "mount"]

BASE = ["python3-venv", "base-files", "bash", "coreutils", "dash"]
"""A stand-in for the official image of Python: that of the distribution, at its place in the path."""

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
"""Whom the machine trusts: made when packages are installed, so what is only unpacked lacks it."""

BUILD_S = 480
"""Longest a step may take: the build downloads some 50 MB."""

USER = "10001:10001"

_AS_A_MACHINE = """
set -eu
root=$1 work=$2 source=$3; shift 3
mount --bind "$root" "$root"
for each in proc sys dev; do mount --rbind /$each "$root/$each"; done
mkdir -p "$root/scratch" "$root/source" "$root/etc/ssl/certs"
mount --bind "$work" "$root/scratch"
mount --bind "$source" "$root/source"
for each in /etc/passwd /etc/group /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
  touch "$root$each"; mount --bind "$each" "$root$each"
done
cd /
exec chroot "$root" /usr/bin/buildah --root /scratch/root --runroot /scratch/run --storage-driver vfs "$@"
"""

# What `docker run --read-only --tmpfs /tmp` and a volume give: nothing else can be written.
_READ_ONLY = """
set -eu
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,ro,bind "$root"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o uid="${user%:*}",gid="${user#*:}",mode=700 tmpfs "$root/srv/farmlokal/var"
cd /
exec chroot --userspec="$user" "$root" /usr/bin/env -i "$@"
"""

_PRIVATE = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]


class Builder:
    """Buildah with a storage of its own; enter it to have the base image there."""

    def __init__(self) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise Missing("the image is built as root with unshare, where there is no Docker engine")
        self._buildah = unpacked("buildah", TOOLS).root
        self._folder = own_folder()

    def __enter__(self) -> Self:
        self.work = self._folder.__enter__()
        # A copy: buildah sees its own folder, this one and the checkout, and no other.
        shutil.copytree(unpacked("image-base", BASE).root, self.work / "base", symlinks=True)
        container = self("from", "scratch")
        self("add", "--quiet", container, "/scratch/base", "/")
        self("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
        self("commit", "--quiet", "--rm", container, "localhost/python-base")
        return self

    def __exit__(self, *reason: object) -> None:
        self._folder.__exit__(None, None, None)

    def __call__(self, *arguments: str) -> str:
        """One command of buildah; what it printed. Files of ours are below /source and /scratch."""
        folders = [str(folder) for folder in (self._buildah, self.work, ROOT)]
        command = [*_PRIVATE, _AS_A_MACHINE, "buildah", *folders, *arguments]
        environment = {"PATH": os.environ["PATH"], "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        assert done.returncode == 0, (
            f"buildah {' '.join(arguments)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        )
        return done.stdout.strip()

    def build(self, name: str) -> None:
        """The Dockerfile on the stand-in."""
        (self.work / "pip.conf").write_text(f"[global]\ncert = {AUTHORITIES}\n")
        self(
            *("build", "--quiet", "--format", "docker", "--pull-never", "--isolation", "chroot"),
            *("--network", "host", "--volume", f"{AUTHORITIES}:{AUTHORITIES}:ro"),
            *("--secret", "id=pip,src=/scratch/pip.conf"),
            *("--build-arg", "PYTHON_IMAGE=localhost/python-base"),
            *("--tag", name, "/source"),
        )

    def unpacked(self, name: str) -> Path:
        """The files of an image, as a folder of this machine."""
        container = self("from", "--pull-never", name)
        return self.work / Path(self("mount", container)).relative_to("/scratch")


def contained(root: Path, environment: Mapping[str, str], command: Sequence[str]) -> list[str]:
    """The command line that runs a command in an image's files, which it cannot change, as its user."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    start = ["sh", "-c", 'cd /srv/farmlokal && exec "$@"', "sh"]
    return [*_PRIVATE, _READ_ONLY, "contained", str(root), USER, *variables, *start, *command]
