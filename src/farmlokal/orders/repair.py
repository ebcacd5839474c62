"""What a person does about deliveries that could not be applied: looks at them, and has them applied again.

A replay is a delivery like any other from where the signature has been checked: it has its effect once,
whoever replays it, however often, and whether or not the sender has sent it again meanwhile.
"""

from farmlokal.errors import NotFound
from farmlokal.orders import representation as shown
from farmlokal.orders.inbox import Outcome
from farmlokal.orders.letters import DeadLetters, Kind, Letter
from farmlokal.orders.receiver import Receiver, Source
from farmlokal.orders.sources import SENDERS
from farmlokal.platform.clock import instant
from farmlokal.platform.keyset.cursor import CursorCodec, fingerprint
from farmlokal.platform.keyset.walk import Walk


class Repair:
    """Dead letters, and their replay."""

    def __init__(self, letters: DeadLetters, receiver: Receiver, cursors: CursorCodec) -> None:
        self._letters = letters
        self._receiver = receiver
        self._cursors = cursors

    async def page(self, kind: Kind | None, limit: int, cursor: str | None) -> shown.DeadLetterPage:
        """One page of letters, newest first. Raises `Invalid` for a cursor of another query."""
        walk = Walk(self._cursors, fingerprint("dead letters", [kind]), cursor)
        page = walk.slice(await self._letters.page(kind, walk.position, limit + 1), limit)
        return shown.DeadLetterPage(
            data=[_shown(letter) for _, _, letter in page.rows],
            next_cursor=page.next_cursor,
            prev_cursor=page.prev_cursor,
            has_more=page.next_cursor is not None,
        )

    async def replay(self, letter_id: int) -> Outcome:
        """Apply what was delivered: what came of it, which is committed.

        Raises `NotFound`, `Invalid` for what still cannot be read, and what `Receiver.apply` raises.
        """
        kept = await self._letters.find(letter_id)
        if kept is None:
            raise NotFound("There is no dead letter of this id.")
        sender = SENDERS.get(kept.source)
        source = Source(kept.source, None, translate=sender and sender.translate)
        outcome = await self._receiver.apply(source.read(kept.body, kept.event_id or None), again=True)
        await self._letters.replayed(letter_id)
        return outcome


def _shown(letter: Letter) -> shown.DeadLetter:
    return shown.DeadLetter(
        id=letter.id,
        kind=letter.kind,
        source=letter.source,
        event_id=letter.event_id.decode(errors="replace") or None,
        reason=letter.reason,
        attempts=letter.attempts,
        settled=bool(letter.settled),
        first_at=instant(letter.first_at_us),
        last_at=instant(letter.last_at_us),
        replayed_at=None if letter.replayed_at_us is None else instant(letter.replayed_at_us),
        body_bytes=letter.body_bytes,
        body=letter.begins.decode(errors="replace"),
    )
