"""A browser: the machine's own Chromium, or else its distribution's packages, unpacked and not installed."""

import os
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import NamedTuple

from tests.support.servers.packages import unpacked
from tests.support.servers.place import cache_folder

PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")

# The fonts are what the pages are written in: Latin, Devanagari, Malayalam.
PACKAGES = ("chromium-headless-shell", "fonts-dejavu-core", "fonts-lohit-deva", "fonts-lohit-mlym")

_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class Browser(NamedTuple):
    """A Chromium: the program, and the environment that it needs."""

    program: str
    environment: Mapping[str, str]


def find(path: str | None = None) -> Browser:
    """Chromium as it is installed, else its packages of this machine's distribution. `path` replaces PATH.

    Raises `OutOfReach` where neither is to be had.
    """
    found = next((program for name in PROGRAMS if (program := which(name, path=path))), None)
    if found is not None:
        return Browser(found, os.environ)
    # The C library stays the machine's own: Chromium starts itself again by its path, and through another
    # loader it would start that. Its packages are of the machine's release, so the library fits.
    root = unpacked("chromium", PACKAGES, without=("libc6",)).root
    places = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    places += root.glob("usr/lib/*-linux-gnu*/pulseaudio")
    libraries = {"LD_LIBRARY_PATH": ":".join(map(str, places))}
    fonts = {"FONTCONFIG_FILE": str(_fonts(root))}
    return Browser(
        str(root / "usr/lib/chromium/chromium-headless-shell"), {**os.environ, **libraries, **fonts}
    )


def _fonts(root: Path) -> Path:
    """Only the fonts that were unpacked: pictures of a page are the same on every machine."""
    cache = cache_folder("chromium")
    configuration = cache / "fonts.conf"
    text = _FONTS.format(fonts=root / "usr/share/fonts", cache=cache / "fonts")
    if not configuration.exists() or configuration.read_text() != text:
        configuration.write_text(text)
    return configuration
