"""The tables of the authorization server: read whole, written one change at a time.

Every write raises the version, first: the row is also the lock by which two writers take turns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ClauseElement, bindparam, case, delete, func, insert, literal_column, select, update

from farmlokal.errors import Unavailable
from farmlokal.oauth import scopes
from farmlokal.oauth.models import RegisteredClient, Snapshot, StoredKey, StoredSecret
from farmlokal.oauth.schema import client_secrets, clients, keys, oauth_version, revocations, sellers
from farmlokal.platform.database.port import Database, Row, Transaction, Work

CLIENTS = 10_000
"""Most clients, disabled ones among them: every process holds all of them, about a kilobyte each."""

KEYS = 64
"""Most signing keys at a time; expired ones are deleted when a new one is made."""

REVOKED = 1000
"""Most tokens of one client that are revoked one by one; past it all that it ever got are revoked."""


class OAuthRepository:
    """The statements, compiled once for one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.dialect
        self._compiled: dict[str, str] = {}

    async def version(self) -> int:
        """The number that every change raises."""
        rows = await self._database.fetch_all(self._sql("version", _VERSION))
        if not rows:
            raise Unavailable("the authorization server has no version")
        return int(rows[0][0])

    async def snapshot(self, version: int, now_us: int) -> Snapshot:
        """All there is; tokens that are past their time need no revocation."""
        found: dict[str, list[StoredSecret]] = {}
        for client_id, digest, created, expires in await self._all("secrets", _SECRETS, {}):
            found.setdefault(_text(client_id), []).append(StoredSecret(bytes(digest), created, expires))
        rows = await self._all("clients", _CLIENTS, {})
        revoked = await self._all("revoked", _REVOKED, {"now_us": now_us})
        registered = [_client(row, found.get(_text(row[0]), ())) for row in rows]
        return Snapshot(
            version,
            {client.client_id: client for client in registered},
            tuple(_key(row) for row in await self._all("keys", _KEYS, {})),
            frozenset(_text(jti) for (jti,) in revoked),
        )

    async def change(self, work: Work[Any], now_us: int) -> int:
        """Run `work` in a transaction of its own, after everyone else's; returns the version it made."""

        async def in_turn(tx: Transaction) -> int:
            await tx.execute(self._sql("raise", _RAISE), {"now_us": now_us})
            [(version,)] = await tx.fetch_all(self._sql("version", _VERSION))
            await work(tx)
            return int(version)

        return await self._database.write(in_turn)

    async def clients(self, tx: Transaction) -> int:
        """How many clients there are."""
        [(count,)] = await tx.fetch_all(self._sql("count clients", _COUNT_CLIENTS))
        return int(count)

    async def find_client(self, tx: Transaction, client_id: str) -> RegisteredClient | None:
        """A client with its secrets, newest first."""
        rows = await tx.fetch_all(self._sql("client", _CLIENT), {"client_id": client_id})
        if not rows:
            return None
        stored = await tx.fetch_all(self._sql("its secrets", _ITS_SECRETS), {"client_id": client_id})
        return _client(rows[0], [StoredSecret(bytes(row[1]), *row[2:]) for row in stored])

    async def has_seller(self, tx: Transaction, seller_id: int) -> bool:
        """Whether there is such a seller."""
        return bool(await tx.fetch_all(self._sql("seller", _SELLER), {"id": seller_id}))

    async def insert_client(self, tx: Transaction, client: RegisteredClient) -> None:
        """A new client, without secrets. Raises `DuplicateKey`."""
        given = {name: getattr(client, name) for name in clients.c.keys()}  # noqa: SIM118  no mapping
        given["scopes"] = scopes.written(client.scopes)
        await tx.execute(self._sql("insert client", _insert(clients)), given)

    async def insert_secret(self, tx: Transaction, client_id: str, secret: StoredSecret) -> None:
        """A secret that opens until somebody says otherwise."""
        given = {"client_id": client_id, "digest": secret.digest, "created_at_us": secret.created_at_us}
        await tx.execute(
            self._sql("insert secret", _insert(client_secrets)),
            given | {"expires_at_us": secret.expires_at_us},
        )

    async def expire_secret(self, tx: Transaction, client_id: str, digest: bytes, at_us: int) -> None:
        """A secret opens no longer than that."""
        given = {"the_client": client_id, "the_digest": digest, "at_us": at_us}
        await tx.execute(self._sql("expire secret", _EXPIRE_SECRET), given)

    async def delete_secrets(self, tx: Transaction, client_id: str, now_us: int) -> None:
        """Digests that open nothing any more go."""
        given = {"the_client": client_id, "now_us": now_us}
        await tx.execute(self._sql("delete secrets", _DELETE_SECRETS), given)

    async def disable_client(self, tx: Transaction, client_id: str, now_us: int) -> None:
        """It gets no token from now on, and those it has count no more."""
        await tx.execute(self._sql("disable", _DISABLE), {"the_client": client_id, "now_us": now_us})

    async def keys(self, tx: Transaction) -> list[StoredKey]:
        """Every signing key, the newest first."""
        return [_key(row) for row in await tx.fetch_all(self._sql("keys", _KEYS))]

    async def insert_key(self, tx: Transaction, key: StoredKey) -> None:
        """A new signing key."""
        given = {name: getattr(key, name) for name in keys.c.keys()}  # noqa: SIM118  no mapping
        await tx.execute(self._sql("insert key", _insert(keys)), given)

    async def expire_key(self, tx: Transaction, kid: str, at_us: int) -> None:
        """A key is published until then."""
        await tx.execute(self._sql("expire key", _EXPIRE_KEY), {"the_kid": kid, "at_us": at_us})

    async def delete_keys(self, tx: Transaction, now_us: int) -> None:
        """Keys whose time is over go."""
        await tx.execute(self._sql("delete keys", _DELETE_KEYS), {"now_us": now_us})

    async def revoke(
        self, tx: Transaction, jti: str, client_id: str, expires_at_us: int, now_us: int
    ) -> None:
        """This token counts no more; past `REVOKED` none that its client got until now. Raises `DuplicateKey`
        for one that is revoked already."""
        await tx.execute(self._sql("forget", _FORGET), {"now_us": now_us})
        given = {"jti": jti, "client_id": client_id, "expires_at_us": expires_at_us}
        await tx.execute(self._sql("insert revocation", _insert(revocations)), given)
        [(count,)] = await tx.fetch_all(self._sql("count", _COUNT_REVOKED), {"client_id": client_id})
        if count > REVOKED:
            await tx.execute(self._sql("forget all", _FORGET_ALL), {"the_client": client_id})
            await tx.execute(
                self._sql("revoke all", _REVOKE_ALL), {"the_client": client_id, "now_us": now_us}
            )

    async def _all(self, name: str, statement: ClauseElement, given: Mapping[str, Any]) -> list[Row]:
        return await self._database.fetch_all(self._sql(name, statement), given)

    def _sql(self, name: str, statement: ClauseElement) -> str:
        if name not in self._compiled:
            self._compiled[name] = str(statement.compile(dialect=self._dialect))
        return self._compiled[name]


def _insert(table: Any) -> ClauseElement:
    return insert(table).values({name: bindparam(name) for name in table.c.keys()})  # noqa: SIM118


_ONE = oauth_version.c.id == literal_column("1")
_VERSION = select(oauth_version.c.version).where(_ONE)
_RAISE = (
    update(oauth_version)
    .where(_ONE)
    .values(
        version=case(
            (oauth_version.c.version >= bindparam("now_us"), oauth_version.c.version + literal_column("1")),
            else_=bindparam("now_us"),
        )
    )
)
_CLIENTS = select(*clients.c).order_by(clients.c.created_at_us)
_CLIENT = select(*clients.c).where(clients.c.client_id == bindparam("client_id"))
_COUNT_CLIENTS = select(func.count()).select_from(clients)
_SELLER = select(sellers.c.id).where(sellers.c.id == bindparam("id"))
_SECRETS = select(*client_secrets.c).order_by(client_secrets.c.created_at_us.desc())
_ITS_SECRETS = _SECRETS.where(client_secrets.c.client_id == bindparam("client_id"))
_EXPIRE_SECRET = (
    update(client_secrets)
    .where(
        client_secrets.c.client_id == bindparam("the_client"),
        client_secrets.c.digest == bindparam("the_digest"),
    )
    .values(expires_at_us=bindparam("at_us"))
)
_DELETE_SECRETS = delete(client_secrets).where(
    client_secrets.c.client_id == bindparam("the_client"),
    client_secrets.c.expires_at_us <= bindparam("now_us"),
)
_OF_CLIENT = clients.c.client_id == bindparam("the_client")
_DISABLE = (
    update(clients)
    .where(_OF_CLIENT)
    .values(disabled_at_us=bindparam("now_us"), valid_from_us=bindparam("now_us"))
)
_REVOKE_ALL = update(clients).where(_OF_CLIENT).values(valid_from_us=bindparam("now_us"))
_KEYS = select(*keys.c).order_by(keys.c.signs_from_us.desc())
_EXPIRE_KEY = update(keys).where(keys.c.kid == bindparam("the_kid")).values(expires_at_us=bindparam("at_us"))
_DELETE_KEYS = delete(keys).where(keys.c.expires_at_us <= bindparam("now_us"))
_REVOKED = select(revocations.c.jti).where(revocations.c.expires_at_us > bindparam("now_us"))
_COUNT_REVOKED = (
    select(func.count()).select_from(revocations).where(revocations.c.client_id == bindparam("client_id"))
)
_FORGET = delete(revocations).where(revocations.c.expires_at_us <= bindparam("now_us"))
_FORGET_ALL = delete(revocations).where(revocations.c.client_id == bindparam("the_client"))


def _client(row: Row, stored: Sequence[StoredSecret]) -> RegisteredClient:
    client_id, name, words, algorithm, seller_id, valid_from, created, disabled = row
    return RegisteredClient(
        client_id=_text(client_id),
        name=name,
        scopes=frozenset(words.split()),
        algorithm=algorithm,
        seller_id=seller_id,
        valid_from_us=valid_from,
        created_at_us=created,
        disabled_at_us=disabled,
        secrets=tuple(stored),
    )


def _key(row: Row) -> StoredKey:
    named: Mapping[str, Any] = dict(zip(keys.c.keys(), row, strict=True))
    return StoredKey(**{**named, "kid": _text(named["kid"]), "sealed_jwk": bytes(named["sealed_jwk"])})


def _text(key: str | bytes) -> str:
    """An opaque key: MySQL keeps it as bytes."""
    return key.decode() if isinstance(key, bytes) else key
