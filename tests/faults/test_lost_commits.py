"""A commit whose answer is lost, hundreds of times: nobody knows whether it was kept, and a resend tells."""

import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from farmlokal.errors import Unavailable
from farmlokal.orders.commits import SharedCommits
from farmlokal.orders.inbox import Inbox, Outcome
from farmlokal.platform.clock import SystemClock
from tests.faults.proxy import Proxy
from tests.support.catalogue import Shelf, opened, run
from tests.support.engines import FreshDatabase, ServerEngine
from tests.support.orders import Books, event
from tests.support.servers.mariadb import MariaDb

TIMES = int(os.environ.get("FARMLOKAL_TEST_LOST_COMMITS", "500"))
COMMIT = b"\x03COMMIT"
"""The command as the protocol has it."""


@pytest.fixture
def database(mariadb_server: MariaDb) -> Iterator[FreshDatabase]:
    """A database with one product."""
    with ServerEngine(mariadb_server).fresh() as fresh:
        with closing(fresh.connect()) as connection:
            Shelf(connection).product(stock_milli=10**9)
        yield fresh


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "not kept"])
def test_a_resend_after_a_lost_answer(mariadb_server: MariaDb, database: FreshDatabase, kept: bool) -> None:
    """When the answer to a commit is lost the sender is told to try again, whether it was kept or not; its
    resend then has exactly one effect."""
    times = TIMES if kept else 50

    async def go() -> None:
        with Proxy(mariadb_server.port) as proxy:
            url = database.url.replace(f":{mariadb_server.port}/", f":{proxy.port}/")
            async with opened(url) as through:
                commits = SharedCommits(Inbox(through, SystemClock()).record)
                await commits.open()
                for number in range(times):
                    told = event(
                        f"e{number}", f"o{number % 7}", sequence=number, items=[(1, 1 + number % 5, "g")]
                    )
                    proxy.traps.clear()
                    trap = (proxy.cut_after if kept else proxy.cut_before)(COMMIT)
                    with pytest.raises(Unavailable):
                        await commits.submit(told)
                    assert trap.sprung
                    again = await commits.submit(told)
                    assert again is (Outcome.DUPLICATE if kept else Outcome.PROCESSED)
                await commits.close()

    run(go(), 300)
    with closing(database.connect()) as connection:
        books = Books(connection)
        assert len(books.events()) == times
        held = sum(order.held[1] or 0 for order in books.orders().values())
        assert books.stock() == {1: 10**9 - held}
        assert 0 < held <= 7 * 5
