"""Tests: their docstrings are the manual, and they neither guess times nor patch module paths."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.house.files import ROOT, functions, modules
from tests.support.distribution import TOGETHER

TESTS = ROOT / "tests"


def _called(node: ast.Call) -> str:
    """The dotted name of what is called, as it stands there."""
    return ast.unparse(node.func)


def _waits(tree: ast.AST, *, polling: bool = False) -> Iterator[ast.Call]:
    """Sleeps of a fixed time. In a `while` a sleep is the pause of a poll; a sleep of 0 is a yield."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and _called(node).rpartition(".")[2] == "sleep" and node.args:
            amount = node.args[0]
            if isinstance(amount, ast.Constant) and amount.value != 0 and not polling:
                yield node
        yield from _waits(node, polling=polling or isinstance(node, ast.While))


def _patches(tree: ast.AST) -> Iterator[ast.AST]:
    """Replacements by module path: `setattr("a.b", …)`, `unittest.mock`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            if "unittest.mock" in names or (
                isinstance(node, ast.ImportFrom) and node.module == "unittest" and "mock" in names
            ):
                yield node
        elif isinstance(node, ast.Call) and _called(node).endswith((".setattr", ".delattr")):
            target = node.args[0] if node.args else None
            if isinstance(target, ast.Constant) and isinstance(target.value, str):
                yield node


def test_every_test_says_what_holds() -> None:
    """The docstring of a test is one sentence of the manual, so every test has one."""
    silent = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree in modules(TESTS)
        for function in functions(tree)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not silent, "\n".join(silent)


def test_no_test_sleeps_a_fixed_time() -> None:
    """A test gives the code a clock, or polls with a deadline."""
    asleep = [f"{path}:{call.lineno}" for path, tree in modules(TESTS) for call in _waits(tree)]
    assert not asleep, "\n".join(asleep)


def test_no_test_patches_a_module_path() -> None:
    """What varies is passed in, so that a module can move without its tests."""
    patched = [
        f"{path}:{getattr(node, 'lineno', 0)}" for path, tree in modules(TESTS) for node in _patches(tree)
    ]
    assert not patched, "\n".join(patched)


def test_the_checks_see_what_they_look_for() -> None:
    """A fixed sleep and a patched path are found; a poll, a yield and a patched object are not."""
    wrong = ast.parse(
        "async def f(m):\n"
        "    await asyncio.sleep(0.5)\n"
        "    time.sleep(2)\n"
        "    m.setattr('a.b', 1)\n"
        "from unittest import mock\n"
    )
    right = ast.parse(
        "async def f(m):\n"
        "    await asyncio.sleep(0)\n"
        "    while now() < deadline:\n"
        "        time.sleep(0.01)\n"
        "    m.setattr(thing, 'name', 1)\n"
    )
    assert (len(list(_waits(wrong))), len(list(_patches(wrong)))) == (2, 2)
    assert (len(list(_waits(right))), len(list(_patches(right)))) == (0, 0)


def test_what_is_dear_is_made_by_one_process(tmp_path: Path) -> None:
    """Every name among those that stay together is there, and of two processes that share the tests one
    runs all of such a module."""
    assert [name for name in TOGETHER if not (ROOT / name).exists()] == []
    one = tmp_path / TOGETHER[-1]
    one.parent.mkdir(parents=True)
    one.write_text(
        "import pytest\n\n@pytest.mark.parametrize('n', range(12))\ndef test_it(n: int) -> None:\n    pass\n"
    )
    (tmp_path / "tests" / "test_other.py").write_text(one.read_text())
    command = [sys.executable, "-m", "pytest", "-v", "-n2", "-pxdist", "-ptests.support.distribution"]
    done = subprocess.run(
        [*command, "-c", os.devnull, "--rootdir", tmp_path, tmp_path],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    ran = set(re.findall(r"\[(gw\d)\].* PASSED (\S+\.py)", done.stdout))
    assert done.returncode == 0, done.stdout
    assert {path for _, path in ran} == {TOGETHER[-1], "tests/test_other.py"}
    assert len([worker for worker, path in ran if path == TOGETHER[-1]]) == 1
