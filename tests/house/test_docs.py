"""Documentation: what a user can name is written down, and what is written down leads somewhere."""

import re
from pathlib import Path

import pytest

from farmlokal.catalog.listing import FACETS, FIELDS, PARAMETERS, SORTS
from farmlokal.errors import DomainError
from farmlokal.platform.web.problem import STATUS
from farmlokal.settings import Settings
from tests.house.files import ROOT, SOURCE, project_files

DOCS = ROOT / "docs"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _missing(names: list[str], text: str) -> list[str]:
    """The names that do not stand in the text as code, alone or with more: `sort`, `sort=price`."""
    coded = "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))
    return [name for name in names if not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", coded)]


def test_every_setting_is_documented() -> None:
    """docs/operations.md names every setting."""
    names = [variable for variable, _, _ in Settings.describe()]
    assert not _missing(names, _read(DOCS / "operations.md"))


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([parameter.name for parameter in PARAMETERS], id="parameters"),
        pytest.param(list(SORTS), id="sorts"),
        pytest.param(list(FACETS), id="facets"),
        pytest.param(list(FIELDS), id="fields"),
    ],
)
def test_every_word_of_a_listing_is_documented(names: list[str]) -> None:
    """docs/api.md names every parameter, sort, facet and field of a listing."""
    assert not _missing(names, _read(DOCS / "api.md"))


def test_every_refusal_has_a_status_and_both_are_documented() -> None:
    """docs/api.md names every refusal of the domain, and its status."""
    assert set(DomainError.__subclasses__()) == STATUS.keys()
    text = _read(DOCS / "api.md")
    assert not [
        f"{status.value} {refusal.__name__}"
        for refusal, status in STATUS.items()
        if not re.search(rf"\b{status.value}\b", text)
    ]


def test_every_make_target_is_documented() -> None:
    """README.md or CONTRIBUTING.md names every target that `make help` lists, but for `help`."""
    targets = re.findall(r"^(?!help:)([a-z0-9-]+):.*  ## ", _read(ROOT / "Makefile"), re.MULTILINE)
    assert {"run", "test", "check"} <= set(targets)
    assert not _missing(targets, _read(ROOT / "README.md") + _read(ROOT / "CONTRIBUTING.md"))


def test_the_glossary_is_in_order_and_every_term_has_its_source() -> None:
    """docs/glossary.md lists its terms by alphabet, each with a link."""
    entries = [line for line in _read(DOCS / "glossary.md").splitlines() if line.startswith("- ")]
    terms = [re.match(r"- \*\*(.+?)\*\*: ", entry) for entry in entries]
    assert terms
    names = [term.group(1).casefold() for term in terms if term]
    assert len(names) == len(entries)
    assert names == sorted(names)
    assert not [entry for entry in entries if not re.search(r"\]\(https?://\S+\)$", entry)]


def test_decisions_are_numbered_without_gaps() -> None:
    """docs/decisions holds 0001, 0002, … and nothing else."""
    pages = sorted(path.name for path in (DOCS / "decisions").glob("*"))
    numbers = [page.partition("-")[0] for page in pages]
    assert numbers == [f"{number:04}" for number in range(1, len(pages) + 1)]


def test_every_decision_that_the_source_cites_is_there() -> None:
    """A comment that says `docs/decisions/0004` leads to a page."""
    there = {path.name[:4] for path in (DOCS / "decisions").glob("*.md")}
    cited = {
        (number, path.relative_to(ROOT).as_posix())
        for path in SOURCE.rglob("*.py")
        for number in re.findall(r"docs/decisions/(\d{4})", _read(path))
    }
    assert not [where for where in sorted(cited) if where[0] not in there]


def test_every_link_between_pages_leads_somewhere() -> None:
    """A relative link in a page names a file that is there."""
    broken = [
        f"{page.relative_to(ROOT).as_posix()}: {target}"
        for page in project_files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", _read(page))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, "\n".join(broken)
