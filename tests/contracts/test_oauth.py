"""The tables of the authorization server, on every engine: clients, secrets, keys, revocations."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest

from farmlokal.errors import Conflict, Invalid, NotFound
from farmlokal.oauth.clients import PUBLISHED_AHEAD_S, Clients
from farmlokal.oauth.credentials import SecretDigests
from farmlokal.oauth.keys import key_set, signing
from farmlokal.oauth.models import RS256, Snapshot
from farmlokal.oauth.repository import REVOKED, OAuthRepository
from farmlokal.oauth.tokens import LEEWAY_S, LIFE_S
from farmlokal.platform.database.port import Transaction
from tests.support.catalogue import Shelf, opened, run
from tests.support.clock import ManualClock
from tests.support.engines import FreshDatabase
from tests.support.oauth import SECRET_KEYS


class Office:
    """Clients and what is known of them, with a clock that stands still."""

    def __init__(self, repository: OAuthRepository, clock: ManualClock) -> None:
        self.repository, self.clock = repository, clock
        self.clients = Clients(repository, SECRET_KEYS, clock)
        self.digests = SecretDigests(SECRET_KEYS)

    async def known(self) -> Snapshot:
        """What a process would know now."""
        return await self.repository.snapshot(await self.repository.version(), self.clock.now_us())

    async def opens(self, client_id: str, secret: str) -> bool:
        """Whether the secret opens now."""
        client = (await self.known()).clients.get(client_id)
        return self.digests.match(client, secret, self.clock.now_us())


def within(database: FreshDatabase, work: Callable[[Office], Awaitable[Any]]) -> Any:
    """Do something at an office over this database."""

    async def go() -> Any:
        async with opened(database.url) as opened_database:
            return await work(Office(OAuthRepository(opened_database), ManualClock()))

    return run(go())


def test_a_new_client_is_known_and_its_secret_opens(
    fresh_database: FreshDatabase, fresh_shelf: Shelf
) -> None:
    """A client is kept as it was made, bound to its seller; its secret opens, and no other does."""
    seller = fresh_shelf.seller("bound")

    async def work(office: Office) -> None:
        version = await office.repository.version()
        client, secret = await office.clients.create("Shop — दुकान", ["ops:read"], seller_id=seller)
        known = (await office.known()).clients[client.client_id]
        assert (known.name, set(known.scopes), known.seller_id) == ("Shop — दुकान", {"ops:read"}, seller)
        assert known.disabled_at_us is None
        assert await office.opens(client.client_id, secret)
        assert not await office.opens(client.client_id, secret + "x")
        assert not await office.opens("nobody", secret)
        assert await office.repository.version() > version

    within(fresh_database, work)


def test_ids_are_compared_by_byte(fresh_database: FreshDatabase) -> None:
    """An id is itself: case, accents and a space inside it count, and one that is taken is refused."""

    async def work(office: Office) -> None:
        ids = ["shop", "Shop", "shóp", "sh op", "foo — bar! +<&>*"]
        secrets = {each: (await office.clients.create("x", ["ops:read"], client_id=each))[1] for each in ids}
        assert (await office.known()).clients.keys() == set(ids)
        for each, secret in secrets.items():
            assert [other for other in ids if await office.opens(other, secret)] == [each]
        with pytest.raises(Conflict):
            await office.clients.create("x", ["ops:read"], client_id="Shop")

    within(fresh_database, work)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"scopes": []}, "scope"),
        ({"scopes": ["all"]}, "scope"),
        ({"seller_id": 999}, "seller"),
        ({"client_id": " x"}, "id"),
        ({"client_id": "a\nb"}, "id"),
        ({"client_id": "x" * 101}, "id"),
        ({"name": ""}, "name"),
    ],
)
def test_a_client_that_cannot_be_is_refused(
    fresh_database: FreshDatabase, given: dict[str, Any], fault: str
) -> None:
    """What is wrong with a new client is named, and nothing is kept."""

    async def work(office: Office) -> None:
        arguments: dict[str, Any] = {"name": "x", "scopes": ["ops:read"], **given}
        with pytest.raises(Invalid) as refusal:
            await office.clients.create(arguments.pop("name"), arguments.pop("scopes"), **arguments)
        assert [each.parameter for each in refusal.value.faults] == [fault]
        assert not (await office.known()).clients

    within(fresh_database, work)


def test_a_rotated_secret_opens_until_its_time(fresh_database: FreshDatabase) -> None:
    """After a rotation the new secret and the one before open; the one before until its time, any older one
    no more."""

    async def work(office: Office) -> None:
        client, first = await office.clients.create("x", ["ops:read"])
        second = await office.clients.rotate(client.client_id, 3600)
        assert await office.opens(client.client_id, first)
        office.clock.advance(10)
        third = await office.clients.rotate(client.client_id, 60)
        opening = [await office.opens(client.client_id, each) for each in (first, second, third)]
        assert opening == [False, True, True]
        office.clock.advance(61)
        opening = [await office.opens(client.client_id, each) for each in (first, second, third)]
        assert opening == [False, False, True]
        fourth = await office.clients.rotate(client.client_id, 0)
        assert [await office.opens(client.client_id, each) for each in (third, fourth)] == [False, True]

    within(fresh_database, work)


def test_a_disabled_client_stays_so(fresh_database: FreshDatabase) -> None:
    """A disabled client is known as such, and cannot be rotated back; unknown ones are told apart."""

    async def work(office: Office) -> None:
        client, _ = await office.clients.create("x", ["ops:read"])
        await office.clients.disable(client.client_id)
        known = (await office.known()).clients[client.client_id]
        assert known.disabled_at_us == known.valid_from_us == office.clock.now_us()
        for each in (client.client_id, "nobody"):
            with pytest.raises(NotFound):
                await office.clients.rotate(each, 60)
        with pytest.raises(NotFound):
            await office.clients.disable("nobody")

    within(fresh_database, work)


def test_secrets_and_keys_are_not_in_the_database(fresh_database: FreshDatabase) -> None:
    """Of secrets the database has digests, of signing keys their public half and something sealed."""

    async def work(office: Office) -> str:
        return (await office.clients.create("x", ["ops:read"]))[1]

    secret = within(fresh_database, work)
    with closing(fresh_database.connect()) as connection:
        rows = [
            str(row)
            for name in ("oauth_clients", "oauth_secrets", "oauth_keys")
            for row in connection.execute(f"SELECT * FROM {name}").fetchall()
        ]
    assert len(rows) == 3
    assert not [row for row in rows if secret in row or '"d"' in row]


def test_a_key_is_published_before_it_signs_and_after(fresh_database: FreshDatabase) -> None:
    """A rotated key is published ten minutes before it signs, and the one before it until its last token has
    expired; a key that leaked is gone at once."""

    async def work(office: Office) -> None:
        def named(snapshot: Snapshot) -> tuple[str | None, set[str]]:
            now_us = office.clock.now_us()
            key = signing(snapshot.keys, "ES256", now_us)
            return key.kid if key else None, {each["kid"] for each in key_set(snapshot.keys, now_us)["keys"]}

        await office.clients.ensure_key("ES256")
        first, published = named(await office.known())
        assert published == {first}
        second = (await office.clients.rotate_key("ES256")).kid
        assert named(await office.known()) == (first, {first, second})
        office.clock.advance(PUBLISHED_AHEAD_S)
        assert named(await office.known()) == (second, {first, second})
        office.clock.advance(LIFE_S + LEEWAY_S)
        assert named(await office.known()) == (second, {second})
        third = (await office.clients.rotate_key("ES256", at_once=True)).kid
        assert named(await office.known()) == (third, {third})
        assert [key.kid for key in (await office.known()).keys] == [third]

    within(fresh_database, work)


def test_two_who_need_a_first_key_make_one(fresh_database: FreshDatabase) -> None:
    """However many ask for a first key at once, one is made."""

    async def work(office: Office) -> None:
        await asyncio.gather(*(office.clients.ensure_key("ES256") for _ in range(8)))
        assert len((await office.known()).keys) == 1
        await office.clients.create("x", ["ops:read"], algorithm=RS256)
        assert sorted(key.algorithm for key in (await office.known()).keys) == ["ES256", "RS256"]

    within(fresh_database, work)


def test_revocations_are_forgotten_with_their_tokens(fresh_database: FreshDatabase) -> None:
    """A revoked token is known while it would live; past a thousand of one client, all that it got count no
    more, and its list is empty again."""

    async def work(office: Office) -> None:
        client, _ = await office.clients.create("x", ["ops:read"])
        ends_us = office.clock.now_us() + 60_000_000

        async def revoke(tx: Transaction, jtis: list[str]) -> None:
            for jti in jtis:
                now_us = office.clock.now_us()
                await office.repository.revoke(tx, jti, client.client_id, ends_us, now_us)

        await office.repository.change(lambda tx: revoke(tx, ["one"]), office.clock.now_us())
        assert (await office.known()).revoked == {"one"}
        office.clock.advance(61)
        assert not (await office.known()).revoked
        ends_us += 60_000_000
        with closing(fresh_database.connect()) as connection:  # one by one through the product it takes long
            for number in range(REVOKED):
                row = (f"token {number}", client.client_id, ends_us)
                connection.execute("INSERT INTO oauth_revocations VALUES (?, ?, ?)", row)
        assert (await office.known()).clients[client.client_id].valid_from_us == 0
        await office.repository.change(lambda tx: revoke(tx, ["last"]), office.clock.now_us())
        known = await office.known()
        assert not known.revoked
        assert known.clients[client.client_id].valid_from_us == office.clock.now_us()

    within(fresh_database, work)
