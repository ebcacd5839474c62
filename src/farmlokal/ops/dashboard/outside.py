"""The simulator's switches, beside the dashboard: in development, for a supplier on this machine.

Our server speaks to it, since the page may speak to nobody else. What is there to be switched the simulator
says itself; a supplier that does not say so is none.
"""

from typing import Any

import msgspec
from msgspec import Struct

from farmlokal.errors import Fault, Invalid, NotFound, Unavailable
from farmlokal.platform.http_client import HttpClient, HttpFailed
from farmlokal.platform.web.loopback import is_loopback_name

WITHIN_S, BODY_BYTES = 1.0, 65_536

STATUSES = ("429", "500", "503")
"""Statuses that can be switched on, besides the faults that the simulator names."""


class Switches(Struct, frozen=True):
    """Endpoints that can be made to do wrong, and in which ways."""

    endpoints: list[str]
    faults: list[str]


class Outside:
    """The simulator at an origin, such as ``http://127.0.0.1:3001``."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._http = HttpClient(2, reaches=is_loopback_name)

    async def open(self) -> None:
        """Make ready; nobody is called yet."""
        await self._http.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    async def switches(self) -> Switches | None:
        """What can be switched; None while there is no simulator there."""
        try:
            told = await self._ask("GET", "/control")
        except Unavailable:
            return None
        return Switches(told.endpoints, [*STATUSES, *told.faults])

    async def play(self, endpoint: str, fault: str) -> None:
        """Have an endpoint do wrong from now on, or no more where `fault` is empty. Raises `NotFound`,
        `Invalid`, `Unavailable`."""
        found = await self.switches()
        if found is None or endpoint not in found.endpoints:
            raise NotFound("The simulator has no such endpoint.")
        if fault and fault not in found.faults:
            raise Invalid.because([Fault("fault", "unknown", "one that the page offers")])
        step: dict[str, Any] = {"status": int(fault)} if fault in STATUSES else {"fault": fault}
        await self._ask("PUT", f"/control/{endpoint}", msgspec.json.encode([step] if fault else []))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Switches:
        try:
            answer = await self._http.call(
                method, self._origin + path, {}, body, within_s=WITHIN_S, body_bytes=BODY_BYTES
            )
            if answer.status == 200:
                return msgspec.json.decode(answer.body, type=Switches)
        except (HttpFailed, msgspec.MsgspecError):
            pass
        raise Unavailable("The simulator does not answer.")
