"""The files of the project as the house tests see them: what is ours, not what tools left behind."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "farmlokal"

_OURS = (".ci", "bench", "deploy", "docs", "requirements", "scripts", "src", "tests")
_LEFT_BEHIND = {"__pycache__", "results"}
_PICTURES = {".png"}


def project_files() -> Iterator[Path]:
    """Every text file of the project. Walked, not asked of git: the tests need no git and no clone."""
    # In a worktree `.git` is a file, and names the clone's folder.
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in _OURS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix not in _PICTURES and _LEFT_BEHIND.isdisjoint(path.parts):
                yield path


def modules(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    """(path relative to the project, syntax tree) of every Python file below a folder."""
    for path in sorted(folder.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a tree, inner ones and methods included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
