"""Words: what no file of the project says."""

import ast
import re
from collections.abc import Iterator

from tests.house.files import ROOT, SOURCE, modules, project_files

VAGUE = {"manager", "helper", "util", "utils", "utility", "handler", "processor", "common", "misc"}

# Put together here, so that this file does not say them either.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")) + r")\b")
REGISTRIES = re.compile(
    "|".join(
        re.escape(".".join(labels))
        for labels in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))
    )
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:root|home|work|Users)/[\w.]")


def _words(identifier: str) -> set[str]:
    """The words of a CamelCase or snake_case name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def _lines_saying(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in project_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if pattern.search(line):
                yield f"{path.relative_to(ROOT).as_posix()}:{number}: {line.strip()[:120]}"


def test_names_say_what_a_thing_is() -> None:
    """No module and no class is a manager, helper, util, handler, processor or common."""
    vague = [
        f"{path}: {name}"
        for path, tree in modules(SOURCE)
        for name in [
            path.rpartition("/")[2].removesuffix(".py"),
            *path.split("/")[:-1],
            *(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)),
        ]
        if _words(name) & VAGUE
    ]
    assert not vague, "\n".join(vague)


def test_nothing_is_left_for_later_in_a_comment() -> None:
    """Work that is open is an issue, not a comment."""
    assert not (found := list(_lines_saying(UNFINISHED))), "\n".join(found)


def test_no_registry_is_named() -> None:
    """Packages come from wherever the machine gets its packages: no file names a registry's host."""
    assert not (found := list(_lines_saying(REGISTRIES))), "\n".join(found)


def test_no_path_of_one_machine_is_named() -> None:
    """No file names a path that is there on its author's machine only."""
    assert not (found := list(_lines_saying(MACHINE_PATHS))), "\n".join(found)
