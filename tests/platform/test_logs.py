"""The manual of the logs: one line one object, nothing breaks out of a line, no secret stays in it."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any, Literal
from unicodedata import category

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from farmlokal.platform.logs import LINE_CHARACTERS, configure_logs, masked_text


@contextmanager
def logs(form: Literal["console", "json"] = "json", level: str = "debug") -> Iterator[StringIO]:
    """The logs of a process configured this way; the logging of the test run comes back afterwards."""
    handlers, root_level = list(logging.root.handlers), logging.root.level
    stream = StringIO(newline="")
    try:
        configure_logs(level, form, stream)
        yield stream
    finally:
        logging.captureWarnings(False)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(root_level)
        structlog.contextvars.clear_contextvars()
        structlog.reset_defaults()


def objects(stream: StringIO) -> list[dict[str, Any]]:
    """Every line as an object: strict JSON, and lines as the most generous reader splits them."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    lines = stream.getvalue().splitlines()
    return [json.loads(line, parse_constant=refuse) for line in lines]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
    max_leaves=10,
)
BREAKING = "a\r\nb\x1b[31mc\x00\x7f\x85\x9b\u2028\u2029\u202e\ud800\ufeff"


@given(event=st.text(st.characters()), value=VALUES)
@example(event=BREAKING, value={BREAKING: [BREAKING, BREAKING.encode(errors="surrogatepass")]})
@example(event="numbers", value=[float("nan"), float("-inf"), 10**5000, 1 << 63])
def test_one_line_is_one_object(event: str, value: object) -> None:
    """Whatever is logged, each line of the JSON format is one object, in printable ASCII."""
    with logs() as stream:
        structlog.get_logger("farm").info(event, value=value)
        logging.getLogger("library").info("%s", event, extra={"value": value})
        ours, theirs = objects(stream)
        assert (ours["logger"], theirs["logger"]) == ("farm", "library")
        assert ours["value"] == theirs["value"]
        assert stream.getvalue().replace("\n", "").isascii()
        assert stream.getvalue().replace("\n", "").isprintable()


@given(event=st.text(st.characters()), value=VALUES)
@example(event=BREAKING, value={BREAKING: [BREAKING, BREAKING.encode(errors="surrogatepass")]})
def test_a_terminal_is_never_spoken_to(event: str, value: object) -> None:
    """Whatever is logged, the console format shows it on one line and sends no control character."""
    with logs("console") as stream:
        structlog.get_logger("farm").info(event, value=value)
        logging.getLogger("library").info("%s", event, extra={"value": value})
        shown = stream.getvalue()
    assert shown.count("\n") == len(shown.splitlines()) == 2
    assert not {char for char in shown.replace("\n", "") if category(char) in {"Cc", "Cs", "Zl", "Zp"}}
    assert not set(shown) & set("\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2067\u2068\ufeff")


@pytest.mark.parametrize("form", ["console", "json"])
def test_an_exception_breaks_no_line(form: Literal["console", "json"]) -> None:
    """An exception is told with its causes; its message, which a caller may have written, is escaped."""
    with logs(form) as stream:
        try:
            try:
                raise KeyError(BREAKING)
            except KeyError as error:
                raise ValueError(f"forged\n{BREAKING}") from error
        except ValueError:
            structlog.get_logger("farm").exception("failed")
            logging.getLogger("library").exception("failed")
        shown = stream.getvalue()
    assert "\x1b" not in shown
    assert not any(line.startswith("forged") for line in shown.splitlines())
    if form == "json":
        for line in objects(stream):
            assert [trace["exc_type"] for trace in line["exception"]] == ["ValueError", "KeyError"]
            assert line["exception"][0]["frames"][-1]["name"] == "test_an_exception_breaks_no_line"
    else:
        assert shown.count("ValueError: forged") == shown.count("KeyError: ") == 2


def test_a_line_says_when_how_bad_and_for_which_request() -> None:
    """A line has the time in UTC, level, event and logger, and what is bound to the request."""
    with logs() as stream:
        with structlog.contextvars.bound_contextvars(request_id="r-1"):
            structlog.get_logger("farm").warning("short stock", product_id=7)
            logging.getLogger("library").warning("slow")
        structlog.get_logger("farm").info("idle")
        ours, theirs, after = objects(stream)
    assert list(ours)[:3] == ["timestamp", "level", "event"]
    assert ours["timestamp"].endswith("Z")
    assert ours | {"timestamp": ""} == {
        "timestamp": "", "level": "warning", "event": "short stock", "product_id": 7, "request_id": "r-1",
        "logger": "farm",
    }  # fmt: skip
    assert (theirs["level"], theirs["request_id"]) == ("warning", "r-1")
    assert "request_id" not in after


def test_the_level_holds_for_everyone() -> None:
    """Lines under the level are not written, whoever logs them."""
    with logs(level="warning") as stream:
        structlog.get_logger("farm").info("ours")
        logging.getLogger("library").info("theirs")
        structlog.get_logger("farm").error("heard")
        assert [line["event"] for line in objects(stream)] == ["heard"]


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "client_secret", "access_token", "token", "Authorization", "Set-Cookie",
     "X-Api-Key", "apikey", "signing_key", "csrf", "pwd", "client_assertion", "credentials"],
)  # fmt: skip
def test_a_secret_is_masked_by_its_key(key: str) -> None:
    """A value whose key tells a secret is masked at any depth, in headers and in what libraries add."""
    with logs() as stream:
        log = structlog.get_logger("farm")
        log.info("a", **{key: "canary"})
        log.info("b", deep=[{"x": {key: ["canary"]}}], headers=[(key.encode(), b"canary"), ("host", "h")])
        logging.getLogger("library").info("c", extra={key: 12345678})
        assert len(objects(stream)) == 3
        assert "canary" not in stream.getvalue()
        assert "12345678" not in stream.getvalue()
        assert objects(stream)[0][key] == "***"


def test_facts_about_a_secret_stay_readable() -> None:
    """The digest, kind and remaining life of a token may be logged, and so may the absence of one."""
    facts = {"token_sha256": "1a2b3c4d", "token_type": "Bearer", "token_expires_in": 42, "token": None}
    with logs() as stream:
        structlog.get_logger("farm").info("token", **facts)
        [line] = objects(stream)
    assert {name: line[name] for name in facts} == facts


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mysql://u:canary@h/d", "mysql://u:***@h/d"),
        ("to redis://:c@nary@h:1/0 now", "to redis://:***@h:1/0 now"),
        ("https://h/p?api-key=canary&limit=1", "https://h/p?api-key=***&limit=1"),
        ("https://h:8080/p?mail=a@b.example", "https://h:8080/p?mail=a@b.example"),
        ("Client(secret='can ary', id=1)", "Client(secret=***, id=1)"),
        ("{'password': 'canary', 'id': 1}", "{'password': ***, 'id': 1}"),
        ("Authorization: Bearer canary.canary-canary", "Authorization: Bearer ***"),
        ("key whsec_Y2FuYXJ5 refused", "key whsec_*** refused"),
        ("got eyJhbGciOiJ9.eyJzdWIiOiJ9.c2ln", "got ***"),
        ("token expired", "token expired"),
    ],
)
def test_a_secret_is_masked_by_its_shape(text: str, masked: str) -> None:
    """In running text, URL passwords, keys in queries, bearer tokens and webhook secrets are masked."""
    assert masked_text(text) == masked
    with logs() as stream:
        structlog.get_logger("farm").info(text, note=text)
        logging.getLogger("library").info("%s", text)
        ours, theirs = objects(stream)
    assert (ours["event"], ours["note"], theirs["event"]) == (masked, masked, masked)


def test_an_exception_keeps_no_secret() -> None:
    """The message of an exception is masked like any text, and local variables are not shown."""
    with logs() as stream:
        pin = "canary"
        try:
            raise ConnectionError(f"cannot reach mysql://u:{pin}@h/d")
        except ConnectionError:
            structlog.get_logger("farm").exception("database down")
        assert objects(stream)[0]["exception"][0]["exc_value"] == "cannot reach mysql://u:***@h/d"
        assert "canary" not in stream.getvalue()


def test_libraries_that_print_parameters_are_kept_quiet() -> None:
    """At debug level the SQL driver's parameters and rows and the HTTP client's headers are not logged."""
    with logs(level="debug") as stream:
        for name in ("sqlalchemy.engine.Engine", "asyncmy", "httpx2", "httpcore2.http11"):
            logging.getLogger(name).info("canary")
            logging.getLogger(name).warning("heard")
        assert [line["event"] for line in objects(stream)] == ["heard"] * 4


def test_a_library_with_an_output_of_its_own_is_brought_in() -> None:
    """A logger that had its own output before writes through the one pipeline, once."""
    library, own = logging.getLogger("library.loud"), StringIO()
    library.addHandler(logging.StreamHandler(own))
    library.propagate = False
    with logs() as stream:
        library.warning("x\ny")
        assert [line["event"] for line in objects(stream)] == ["x\ny"]
    assert own.getvalue() == ""


def test_warnings_are_log_lines() -> None:
    """A Python warning is a log line, and not text between the lines."""
    with warnings.catch_warnings(), logs() as stream:
        warnings.simplefilter("always")
        warnings.warn("old\nway", DeprecationWarning, stacklevel=1)
        [line] = objects(stream)
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "old\nway" in line["event"]


class Unprintable:
    """A value that fails when it is shown, with a secret in its failure."""

    def __repr__(self) -> str:
        raise RuntimeError("canary")


def test_a_value_that_cannot_be_shown_does_not_fail_the_caller() -> None:
    """A value that fails to print is named by its type; a call that cannot be formatted is told as lost."""
    with logs() as stream:
        structlog.get_logger("farm").info("x", value=Unprintable())
        logging.getLogger("library").info("%d pieces", "canary")
        shown, lost = objects(stream)
    assert shown["value"] == "<Unprintable that cannot be shown>"
    assert (lost["event"], lost["logger"], lost["error"]) == ("a log call was lost", "library", "TypeError")
    assert "canary" not in stream.getvalue()


def _endless() -> object:
    cycle: list[object] = []
    cycle.extend([cycle] * 50)
    return cycle


@pytest.mark.parametrize(
    "flood",
    [
        lambda: "x" * 1_000_000,
        lambda: ["y" * 10_000] * 10_000,
        lambda: {str(i): i for i in range(100_000)},
        _endless,
    ],
    ids=["text", "list", "mapping", "cycle"],
)
def test_a_line_has_a_maximum(flood: Callable[[], object]) -> None:
    """A flood or a cycle is cut to the room of one line, which still says when, how bad and what."""
    with logs() as stream:
        structlog.get_logger("farm").info("flood", value=flood())
        [line] = objects(stream)
    # A character outside ASCII takes six.
    assert len(stream.getvalue()) < 6 * LINE_CHARACTERS
    assert (line["event"], line["level"]) == ("flood", "info")


def test_a_console_without_unicode_shows_escapes() -> None:
    """On a console whose encoding lacks a letter, the letter is escaped and the line is not lost."""
    raw = BytesIO()
    with logs("console"):
        stream = TextIOWrapper(raw, encoding="ascii", write_through=True)
        configure_logs("info", "console", stream)
        structlog.get_logger("farm").info("തക്കാളി", name="टमाटर")
    assert raw.getvalue().isascii()
    assert b"\\u0d24" in raw.getvalue()
    stream.close()


def test_indian_scripts_stay_readable_on_a_console() -> None:
    """Letters and the joiners that Malayalam and Hindi need are shown as they are."""
    with logs("console") as stream:
        structlog.get_logger("farm").info("ന്\u200d क्\u200dष", name="टमाटर")
    assert "ന്\u200d क्\u200dष" in stream.getvalue()
    assert "टमाटर" in stream.getvalue()


def test_a_stream_that_is_gone_does_not_fail_the_caller(capsys: pytest.CaptureFixture[str]) -> None:
    """When the log stream is broken, the caller goes on and the loss is told on standard error."""

    class Broken(StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with logs():
        configure_logs("info", "json", Broken())
        structlog.get_logger("farm").info("canary")
    told = capsys.readouterr().err
    assert json.loads(told)["error"] == "BrokenPipeError"
    assert "canary" not in told


def test_configuring_again_replaces_what_was_there() -> None:
    """Configured a second time, lines go to the new stream only, in the new format, once each."""
    second = StringIO()
    with logs() as first:
        log = structlog.get_logger("farm")
        log.info("one")
        configure_logs("info", "console", second)
        log.info("two")
        assert [line["event"] for line in objects(first)] == ["one"]
    assert second.getvalue().count("two") == 1
