"""`farmlokal webhooks`: an operator sends an event to a running server, looks, and repairs."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from farmlokal.cli import app
from tests.support.catalogue import Shelf, connect, new_database
from tests.support.orders import SECRET, Books, body
from tests.support.server import environment, serving

SETTINGS = {"FARMLOKAL_WEBHOOK_SECRETS": f"{SECRET.decode()},the-one-before-it-that-is-long"}


def webhooks(settings: Mapping[str, str], *arguments: str, given: bytes = b"") -> Result:
    """What a command prints and how it ends."""
    return CliRunner().invoke(app, ["webhooks", *arguments], env=settings, input=given)


def test_send_look_repair(tmp_path: Path) -> None:
    """A sent event is signed and has its effect; what could not be applied is listed and, once its cause is
    mended, replayed, once however often; a text of a stranger's cannot speak to the terminal."""
    database = new_database(tmp_path)
    with closing(connect(database)) as connection, serving(database, tmp_path / "log", SETTINGS) as server:
        Shelf(connection).product(stock_milli=10_000)
        url = f"http://127.0.0.1:{server.port}/webhook/order-update"
        settings = environment(database, SETTINGS | {"FARMLOKAL_PORT": str(server.port)})
        good = body("e1", "o\x1b[2J", status="created", items=[(1, 1, "kg")])
        for told in ("processed", "duplicate ignored"):
            sent = webhooks(settings, "send", "--url", url, given=good)
            assert (sent.exit_code, sent.output) == (0, f'200 {{"status":"{told}"}}\n')
        file = tmp_path / "poison.json"
        file.write_bytes(body("e2", "p", items=[(2, 1, "kg")]))
        for _ in range(5):
            sent = webhooks(settings, "send", str(file))
            assert sent.exit_code == 1
            assert sent.output.startswith("422 ")
        head, *rows = webhooks(settings, "list").output.splitlines()
        assert head.split() == ["received", "source", "event", "order", "status", "outcome"]
        [row] = [each.split() for each in rows]
        assert row[1:] == ["standard", "e1", "o\\u001b[2J", "created", "processed"]
        assert webhooks(settings, "list", "--order", "nobody").output.count("\n") == 1
        _, letter = webhooks(settings, "dead-letters", "--kind", "dead").output.splitlines()
        assert letter.split()[:4] == ["1", "dead", "standard", "e2"]
        assert letter.endswith("5         open   There is no product 2.")
        refused = webhooks(settings, "replay", "1", "99")
        assert (refused.exit_code, refused.output.splitlines()) == (
            1,
            ["1 refused: There is no product 2.", "99 refused: There is no dead letter of this id."],
        )
        assert Shelf(connection).product(stock_milli=5000) == 2
        assert webhooks(settings, "replay", "1", "1").output == "1 processed\n1 duplicate ignored\n"
        assert "settled" in webhooks(settings, "dead-letters").output
        assert webhooks(settings, "send", "--url", "http://127.0.0.1:1/x", given=good).exit_code == 1
        assert Books(connection).stock() == {1: 9000, 2: 4000}


def test_an_event_that_is_not_ours_is_sent_as_it_is(tmp_path: Path) -> None:
    """Whatever is in the file is signed and sent: what it is worth the server says."""
    database = new_database(tmp_path)
    with serving(database, tmp_path / "log", SETTINGS) as server:
        settings = environment(database, SETTINGS | {"FARMLOKAL_PORT": str(server.port)})
        for content in (b"[]", b"{no json", b"\xff", msgspec.json.encode({"eventId": "\n"})):
            sent = webhooks(settings, "send", given=content)
            assert sent.output[:3] == ("200" if b"eventId" in content else "400")
