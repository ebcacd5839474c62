"""What is done with a delivery: its signature, its event, the commit, and what is kept of one that failed.

Nothing is answered before it is committed and nothing is done after it is answered: a caller that knows
nothing sends again, and that must be safe at every moment.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b

import structlog

from farmlokal.errors import Conflict, DomainError, Fault, Invalid, Unavailable, Unprocessable
from farmlokal.orders.change import Unappliable
from farmlokal.orders.event import read_event
from farmlokal.orders.inbox import InFlight, Mismatched, Outcome
from farmlokal.orders.letters import ATTEMPTS, DeadLetters, Delivery, Kind
from farmlokal.orders.models import KEY_BYTES, OrderEvent
from farmlokal.orders.signature import Headers, Scheme, Unsigned
from farmlokal.orders.translation import Translate
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.metrics import WebhookCounts


@dataclass(frozen=True, slots=True)
class Source:
    """A sender: its name, how it signs (None: not at all), the headers that may name a delivery, and how its
    own form is made ours (None: it is ours)."""

    name: str
    scheme: Scheme | None
    id_headers: tuple[bytes, ...] = ()
    translate: Translate | None = None

    def identify(self, headers: Headers) -> bytes | None:
        """The id that the headers give a delivery: that of the first that is there. Raises `Invalid`."""
        for name in self.id_headers:
            if values := headers.get(name):
                if len(values) > 1 or not _IDENTITY.fullmatch(values[0]):
                    raise Invalid.because([Fault(name.decode(), "malformed", _IDENTITY_ACCEPTED)])
                return values[0]
        return None

    def read(self, body: bytes, event_id: bytes | None) -> OrderEvent:
        """The event in a body; `event_id` is what else it may be known by. Raises `Invalid`."""
        return read_event(self.name, body, event_id, self.translate)


_IDENTITY = re.compile(rb"[!-~]{1,%d}" % KEY_BYTES)
_IDENTITY_ACCEPTED = f"one, of 1 to {KEY_BYTES} printable ASCII characters"


class Receiver:
    """Takes deliveries. `submit` records an event, and returns when that is committed."""

    def __init__(
        self,
        submit: Callable[[OrderEvent], Awaitable[Outcome]],
        letters: DeadLetters,
        counts: WebhookCounts,
        clock: SystemClock,
    ) -> None:
        self._submit = submit
        self._letters = letters
        self._counts = counts
        self._clock = clock
        self._log = structlog.get_logger("farmlokal.orders")

    async def receive(self, source: Source, headers: Headers, body: bytes) -> Outcome:
        """One delivery: what came of it, which is committed.

        Raises `Unsigned`; `Invalid` for one that cannot be read, which is kept; and what `apply` raises.
        """
        if source.scheme is not None:
            try:
                source.scheme.verify(headers, body, self._clock.now_us() // 1_000_000)
            except Unsigned:
                self._counts.count("unsigned")
                raise
        identity = None
        try:
            identity = source.identify(headers)
            event = source.read(body, identity)
        except Invalid as refusal:
            self._counts.count("malformed")
            unread = Delivery(source.name, identity or b"", blake2b(body, digest_size=32).digest(), body)
            await self._letters.keep(Kind.MALFORMED, unread, _told(refusal))
            raise
        return await self.apply(event)

    async def apply(self, event: OrderEvent, *, again: bool = False) -> Outcome:
        """Record an event, once, whoever brings it and however often; `again`: it is a replay, and counted
        as one.

        Raises `Unprocessable` where a person has to look, now or after some more attempts, `Conflict` when
        its twin is being recorded, and `Unavailable` when it was not recorded or nobody knows.
        """
        try:
            outcome = await self._submit(event)
        except Mismatched as refusal:
            self._counts.count("mismatched")
            await self._letters.keep(Kind.MISMATCHED, _delivery(event), refusal.detail)
            raise
        except InFlight as refusal:
            raise Conflict(
                "This event is being recorded already.", retry_after_s=refusal.retry_after_s
            ) from None
        except Unappliable as refusal:
            await self._failed(event, refusal.detail)
            raise
        except DomainError:
            raise
        except Exception as bug:  # noqa: BLE001  kept with its reason, and told in the log
            self._log.exception("bug", event_id=event.event_id.decode())
            if await self._failed(event, f"a bug of ours: {type(bug).__name__}"):
                raise Unprocessable("The event cannot be applied, and is kept for a person.") from None
            raise Unavailable("The event cannot be applied now.") from None
        if again:
            self._counts.count("replayed")
        self._counts.count(outcome.name.lower())
        return outcome

    async def _failed(self, event: OrderEvent, reason: str) -> bool:
        """Count a failure: whether it is a dead letter by now."""
        attempts = await self._letters.keep(Kind.FAILING, _delivery(event), reason)
        self._counts.count("failed" if attempts < ATTEMPTS else "dead")
        return attempts >= ATTEMPTS


def _delivery(event: OrderEvent) -> Delivery:
    return Delivery(event.source, event.event_id, event.digest, event.body)


def _told(refusal: Invalid) -> str:
    return "; ".join([refusal.detail, *(f"{fault.parameter}: {fault.accepted}" for fault in refusal.faults)])
