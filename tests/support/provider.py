"""The simulated provider in a thread of the test's process: over real sockets, and still at hand to look
into."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from farmlokal.platform.clock import SystemClock
from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET, Behaviour, OAuthProvider, Simulator

T = TypeVar("T")


class Running:
    """A simulator that listens on `port`."""

    def __init__(self, simulator: Simulator, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.simulator, self.port, self._loop = simulator, port, loop

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_url(self) -> str:
        """Its token endpoint."""
        return f"{self.url}/oauth/token"

    @property
    def settings(self) -> dict[str, str]:
        """What a server needs to know of it."""
        return {
            "FARMLOKAL_SUPPLIER_URL": f"{self.url}/products",
            "FARMLOKAL_UPSTREAM_TOKEN_URL": self.token_url,
            "FARMLOKAL_UPSTREAM_CLIENT_ID": CLIENT_ID,
            "FARMLOKAL_UPSTREAM_CLIENT_SECRET": CLIENT_SECRET,
        }

    def play(self, *steps: Behaviour, at: str = "token") -> None:
        """Have an endpoint follow these steps; none means honest."""
        self.ask(lambda: self.simulator.scripts[at].play(steps))

    @property
    def calls(self) -> int:
        """Calls of the token endpoint so far, those under way with them."""
        provider = self.simulator.provider
        return self.ask(lambda: len(provider.calls) + provider.in_flight)

    def ask(self, question: Callable[[], T]) -> T:
        """The answer of something that is called in the simulator's own thread."""

        async def asked() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(30)


@contextmanager
def simulated(
    client_id: str = CLIENT_ID, client_secret: str = CLIENT_SECRET, tls: ssl.SSLContext | None = None
) -> Iterator[Running]:
    """A simulator for the length of a block."""
    simulator = Simulator(OAuthProvider(SystemClock(), client_id, client_secret))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator")
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(simulator.start(0, tls), loop).result(30)
        yield Running(simulator, port, loop)
    finally:
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
