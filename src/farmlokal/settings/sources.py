"""Where the text of a setting comes from: the environment, a file it names, an env file, older names.

The environment is an argument and every fault is found before any is reported, which is why the ready-made
sources of pydantic-settings are not used. The env file has python-dotenv's syntax without its interpolation:
a `$` in a password stands for itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from urllib.parse import quote

from dotenv.parser import parse_stream

from farmlokal.errors import Fault

PREFIX = "FARMLOKAL_"
FILE_BYTES = 65_536
"""Most that is read of a file. Ours: an env file with every setting is under 4 kB."""

_OF_THE_TESTS = ("FARMLOKAL_TEST_", "FARMLOKAL_REQUIRE_DATA")


@dataclass(frozen=True, slots=True)
class Given:
    """What an operator wrote for a setting, and under which name: a fault names what they can mend."""

    name: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table of settings; `parse` refuses a text with `Refused`.

    `in_production` is the default there, if it differs. `absent` is how "none of it" is written.
    `original` finds what the system before this one called it.
    """

    description: str
    parse: Callable[[str], object]
    default: str = ""
    in_production: str | None = None
    secret: bool = False
    absent: str = ""
    original: Callable[[Mapping[str, str]], Given | None] | None = None

    def default_in(self, *, production: bool) -> str:
        return self.in_production if production and self.in_production is not None else self.default


def variable(field_name: str) -> str:
    """The environment variable of a field: one rule, so that neither is ever written down twice."""
    return PREFIX + field_name.upper()


def read(
    table: Mapping[str, Setting], environ: Mapping[str, str], env_file: Path | None
) -> tuple[dict[str, Given], dict[str, Fault]]:
    """What is given for each field, and what is wrong already, by field or by the name at fault.

    The environment wins over the env file setting by setting: a variable or its `_FILE` in the environment
    hides both in the file. An empty text counts as not given.
    """
    in_file, faults = ({}, {}) if env_file is None else _parse_env_file(env_file)
    layers = [_without_empty(environ), _without_empty(in_file)]
    given: dict[str, Given] = {}
    for name, setting in table.items():
        for layer in layers:
            found = _find(name, setting, layer)
            if isinstance(found, Fault):
                faults[name] = found
            elif found is not None:
                given[name] = found
            if found is not None:
                break
    merged = {**layers[1], **layers[0]}
    for name, setting in table.items():
        if name not in given and name not in faults and setting.original is not None:
            original = setting.original(merged)
            given.update({name: original} if original else {})
    return given, faults | _unknown(table, merged)


def renamed(name: str) -> Callable[[Mapping[str, str]], Given | None]:
    """The same text under the name it had in the original."""
    return lambda variables: Given(name, variables[name]) if name in variables else None


def original_database(variables: Mapping[str, str]) -> Given | None:
    """The original's five database variables as one URL; host and port default as its driver's did."""
    if not variables.keys() & {"DB_HOST", "DB_NAME"}:
        return None
    host = variables.get("DB_HOST", "localhost")
    user, password = variables.get("DB_USER", ""), variables.get("DB_PASSWORD", "")
    login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
    address = f"[{host}]" if ":" in host else quote(host, safe="")
    port, name = (
        quote(variables.get("DB_PORT", "3306"), safe=""),
        quote(variables.get("DB_NAME", ""), safe=""),
    )
    url = f"mysql://{login}{'@' if login else ''}{address}:{port}/{name}"
    return Given("DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME", url)


def _find(name: str, setting: Setting, layer: Mapping[str, str]) -> Given | Fault | None:
    own = variable(name)
    by_file = f"{own}_FILE"
    if not setting.secret or by_file not in layer:
        return Given(own, layer[own]) if own in layer else None
    if own in layer:
        return Fault(own, "repeated", f"a value or {by_file}, not both")
    # The path is not shown: it is where the secret itself ends up when the two names are mixed up.
    text = _read_text(Path(layer[by_file]))
    if text is None or not text.strip():
        return Fault(by_file, "unreadable", f"the path of a readable text file of 1 to {FILE_BYTES} bytes")
    return Given(by_file, text.rstrip("\r\n"))


def _parse_env_file(path: Path) -> tuple[dict[str, str], dict[str, Fault]]:
    text = _read_text(path)
    if text is None:
        accepted = f"the path of a readable text file of at most {FILE_BYTES} bytes"
        return {}, {"--env-file": Fault("--env-file", "unreadable", accepted)}
    found: dict[str, str] = {}
    faults: dict[str, Fault] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.key is not None and binding.value is not None and not binding.error:
            found[binding.key] = binding.value
        elif binding.error or binding.key is not None:
            where = f"--env-file line {binding.original.line}"
            faults[where] = Fault(where, "malformed", "NAME=value, or a comment after #")
    return found, faults


def _read_text(path: Path) -> str | None:
    """The text of a file; None when it cannot be read, is no text or is too long."""
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
        return content.decode() if len(content) <= FILE_BYTES else None
    except (OSError, ValueError):
        return None


def _without_empty(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in variables.items() if text}


def _unknown(table: Mapping[str, Setting], variables: Mapping[str, str]) -> dict[str, Fault]:
    known = [variable(name) for name in table]
    known += [f"{variable(name)}_FILE" for name, setting in table.items() if setting.secret]
    faults = {}
    for name in variables:
        if name.startswith(PREFIX) and name not in known and not name.startswith(_OF_THE_TESTS):
            closest = get_close_matches(name, known, n=1, cutoff=0)[0]
            shown = name.encode("unicode_escape").decode()
            faults[shown] = Fault(shown, "unknown", f"no such setting, the closest is {closest}")
    return faults
