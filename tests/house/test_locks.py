"""The locks: exact versions with hashes, from nowhere in particular."""

import re

from tests.house.files import ROOT


def _pins(name: str) -> dict[str, str]:
    """Version by package; a package with two pins (for two kinds of machine) has both."""
    pins: dict[str, list[str]] = {}
    for package, version in re.findall(r"^([\w.-]+(?:\[[\w,-]+\])?)==(\S+)", _lock(name), re.MULTILINE):
        pins.setdefault(package.partition("[")[0], []).append(version)
    return {package: " ".join(sorted(versions)) for package, versions in pins.items()}


def _lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def test_what_serves_is_what_was_tested() -> None:
    """Every package of image.lock, those of run.lock among them, is in dev.lock at the same version."""
    run, image, dev = _pins("run.lock"), _pins("image.lock"), _pins("dev.lock")
    assert run
    assert run.items() <= image.items()
    assert not {name: (pin, dev.get(name)) for name, pin in image.items() if dev.get(name) != pin}


def test_every_pin_has_a_hash_and_no_address() -> None:
    """A package is known by its content, whoever delivers it."""
    for name in sorted(path.name for path in (ROOT / "requirements").iterdir()):
        text = _lock(name)
        entries = re.split(r"\n(?=[a-z0-9])", text.strip())
        assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
        assert "://" not in text
        assert set(re.findall(r"(?<!\S)--[a-z-]+", text)) == {"--hash"}
