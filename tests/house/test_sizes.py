"""Sizes: what fits on a screen or two is read whole."""

from tests.house.files import SOURCE, functions, modules

FUNCTION_LINES = 60
MODULE_LINES = 300


def test_no_function_is_longer_than_sixty_lines() -> None:
    """A function has at most 60 lines, signature and docstring included."""
    too_long = [
        f"{path}:{function.lineno} {function.name}: {lines} lines"
        for path, tree in modules(SOURCE)
        for function in functions(tree)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LINES
    ]
    assert not too_long, "\n".join(too_long)


def test_no_module_is_longer_than_three_hundred_lines() -> None:
    """A module has at most 300 lines."""
    too_long = [
        f"{path.name}: {lines} lines"
        for path in sorted(SOURCE.rglob("*.py"))
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MODULE_LINES
    ]
    assert not too_long, "\n".join(too_long)
