"""What an operator does with clients and keys. Secrets are handed out once, and kept as digests only."""

import re
import secrets
from collections.abc import Sequence
from itertools import chain

from farmlokal.errors import Conflict, Fault, Invalid, NotFound
from farmlokal.oauth.credentials import SecretDigests, new_secret
from farmlokal.oauth.keys import new_key, signing
from farmlokal.oauth.models import ALGORITHMS, RegisteredClient, StoredKey, StoredSecret
from farmlokal.oauth.repository import CLIENTS, KEYS, OAuthRepository
from farmlokal.oauth.scopes import SCOPES
from farmlokal.oauth.seal import SIGNING_KEYS, Seal
from farmlokal.oauth.tokens import LEEWAY_S, LIFE_S
from farmlokal.platform.clock import SystemClock
from farmlokal.platform.database.port import DuplicateKey, Transaction

KEY_SET_AGE_S = 300
"""How long others may keep the key set."""

PUBLISHED_AHEAD_S = 2 * KEY_SET_AGE_S
"""A new key is published for so long before it signs: whoever checks its first signature has it by then."""

_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


class Clients:
    """Registered clients and signing keys, changed from the command line."""

    def __init__(self, repository: OAuthRepository, secret_keys: Sequence[bytes], clock: SystemClock) -> None:
        self._repository = repository
        self._digests = SecretDigests(secret_keys)
        self._seal = Seal(secret_keys, SIGNING_KEYS)
        self._clock = clock

    async def create(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        client_id: str | None = None,
        seller_id: int | None = None,
        algorithm: str = ALGORITHMS[0],
    ) -> tuple[RegisteredClient, str]:
        """A new client, and its secret, which nobody can read again. Raises `Invalid`, `Conflict`."""
        now_us, secret = self._clock.now_us(), new_secret()
        client = RegisteredClient(
            client_id=secrets.token_hex(8) if client_id is None else client_id,
            name=name,
            scopes=frozenset(scopes),
            algorithm=algorithm,
            seller_id=seller_id,
            valid_from_us=0,
            created_at_us=now_us,
            disabled_at_us=None,
        )
        _require_sound(client)

        async def work(tx: Transaction) -> None:
            if await self._repository.clients(tx) >= CLIENTS:
                raise Conflict(f"There are {CLIENTS} clients, which is the most.")
            if seller_id is not None and not await self._repository.has_seller(tx, seller_id):
                raise Invalid.because([Fault("seller", "unknown", "the id of a seller")])
            try:
                await self._repository.insert_client(tx, client)
            except DuplicateKey:
                raise Conflict("There is a client of this id already.") from None
            await self._repository.insert_secret(tx, client.client_id, self._stored(secret, now_us))
            await self._ensure_key(tx, algorithm, now_us)

        await self._repository.change(work, now_us)
        return client, secret

    async def rotate(self, client_id: str, overlap_s: int) -> str:
        """A new secret; the one before opens for `overlap_s` seconds more, and any older one no longer.

        Raises `NotFound`.
        """
        now_us, secret = self._clock.now_us(), new_secret()
        until_us = now_us + overlap_s * 1_000_000

        async def work(tx: Transaction) -> None:
            client = await self._repository.find_client(tx, client_id)
            if client is None or client.disabled_at_us is not None:
                raise NotFound("There is no such client, or it is disabled.")
            live = [each for each in client.secrets if each.live(now_us)]
            before = sorted(live, key=lambda each: each.expires_at_us is not None)  # the last one has no end
            for number, each in enumerate(before):
                ends = min(until_us, each.expires_at_us or until_us) if number == 0 else now_us
                await self._repository.expire_secret(tx, client_id, each.digest, ends)
            await self._repository.delete_secrets(tx, client_id, now_us)
            await self._repository.insert_secret(tx, client_id, self._stored(secret, now_us))

        await self._repository.change(work, now_us)
        return secret

    async def disable(self, client_id: str) -> None:
        """No token from now on, and those it has count no more, for good. Raises `NotFound`."""
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> None:
            if await self._repository.find_client(tx, client_id) is None:
                raise NotFound("There is no such client.")
            await self._repository.disable_client(tx, client_id, now_us)

        await self._repository.change(work, now_us)

    async def list(self) -> list[RegisteredClient]:
        """Every client, the oldest first."""
        snapshot = await self._repository.snapshot(0, self._clock.now_us())
        return [*snapshot.clients.values()]

    async def rotate_key(self, algorithm: str, *, at_once: bool = False) -> StoredKey:
        """A new signing key. It is published first and signs ten minutes later, when everyone who keeps the
        key set for a while has it; the one before it is published until its last token has expired.

        `at_once` is for a key that leaked: the old ones are gone, and with them every token they signed.
        """
        now_us = self._clock.now_us()
        signs_from_us = now_us if at_once else now_us + PUBLISHED_AHEAD_S * 1_000_000
        last_us = now_us if at_once else signs_from_us + (LIFE_S + LEEWAY_S) * 1_000_000
        key = new_key(algorithm, self._seal, now_us, signs_from_us)

        async def work(tx: Transaction) -> None:
            kept = [each for each in await self._repository.keys(tx) if each.published(now_us)]
            if len(kept) >= KEYS:
                raise Conflict(f"There are {KEYS} signing keys, which is the most; the old ones expire.")
            for each in kept:
                if each.algorithm == algorithm and (at_once or each.expires_at_us is None):
                    await self._repository.expire_key(tx, each.kid, last_us)
            await self._repository.delete_keys(tx, now_us)
            await self._repository.insert_key(tx, key)

        await self._repository.change(work, now_us)
        return key

    async def ensure_key(self, algorithm: str) -> int:
        """See to it that there is a key to sign with; returns the version of what is known."""
        now_us = self._clock.now_us()

        async def work(tx: Transaction) -> None:
            await self._ensure_key(tx, algorithm, now_us)

        return await self._repository.change(work, now_us)

    async def _ensure_key(self, tx: Transaction, algorithm: str, now_us: int) -> None:
        if signing(await self._repository.keys(tx), algorithm, now_us) is None:
            await self._repository.insert_key(tx, new_key(algorithm, self._seal, now_us, now_us))

    def _stored(self, secret: str, now_us: int) -> StoredSecret:
        return StoredSecret(self._digests.digest(secret), now_us, None)


def _require_sound(client: RegisteredClient) -> None:
    faults = [
        Fault("scope", "unknown", "one of " + ", ".join(SCOPES))
        for _ in sorted(client.scopes - SCOPES.keys())
    ][:1]
    if not client.scopes:
        faults.append(Fault("scope", "missing", "one of " + ", ".join(SCOPES)))
    if client.algorithm not in ALGORITHMS:
        faults.append(Fault("algorithm", "unknown", "one of " + ", ".join(ALGORITHMS)))
    for field, text, most in (("id", client.client_id, 100), ("name", client.name, 200)):
        if not _ID.fullmatch(text) or len(text.encode()) > most or text != text.strip():
            faults.append(Fault(field, "malformed", f"1 to {most} bytes of text on one line"))
    if faults:
        raise Invalid.because(faults)


def described(clients: Sequence[RegisteredClient]) -> list[tuple[str, ...]]:
    """Clients as rows of text, with their columns first; of secrets only how many open."""
    rows = (
        (
            client.client_id,
            client.name,
            " ".join(sorted(client.scopes)),
            "any" if client.seller_id is None else str(client.seller_id),
            "disabled" if client.disabled_at_us is not None else "active",
            str(len(client.secrets)),
        )
        for client in clients
    )
    return [*chain([("id", "name", "scope", "seller", "state", "secrets")], rows)]
