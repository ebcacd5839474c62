"""Whose quota a request with a token spends."""

from pathlib import Path

import httpx2

from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.oauth import bearer, register, token_of

FIVE = {"FARMLOKAL_RATE_LIMIT": "5/86400s;burst=5"}


async def statuses(caller: httpx2.AsyncClient, count: int, headers: dict[str, str]) -> list[int]:
    """The statuses of so many requests."""
    return [int((await caller.get("/api/categories", headers=headers)).status_code) for _ in range(count)]


def test_a_client_spends_its_own_quota_and_a_stranger_that_of_the_address(database_path: Path) -> None:
    """A request with a good token spends the quota of its client, wherever it comes from; one with a bad
    token that of its address, and so does one without."""
    url = f"sqlite:///{database_path}"

    async def go() -> None:
        one, two = await register(url), await register(url)
        async with calling(application(database_path, FIVE)) as caller:
            first, second = await token_of(caller, one), await token_of(caller, two)  # a unit each
            assert await statuses(caller, 5, bearer(first)) == [200] * 4 + [429]
            assert await statuses(caller, 5, bearer(second)) == [200] * 4 + [429]
            forged = bearer(first[:-8] + "AAAAAAAA")
            assert await statuses(caller, 3, forged) == [200] * 3
            assert await statuses(caller, 3, {}) == [200] * 2 + [429]
            assert await statuses(caller, 2, forged) == [429] * 2
            assert await statuses(caller, 1, bearer(first)) == [429]  # and not the address's whole one

    run(go())


def test_a_known_token_needs_no_quota_of_the_address(database_path: Path) -> None:
    """Who shares an address with a flood of strangers is not turned away: a token that has been checked
    before asks nothing of the address. A new one does, since its signature is work."""
    url = f"sqlite:///{database_path}"

    async def go() -> None:
        known = await register(url)
        async with calling(application(database_path, FIVE)) as caller:
            token, fresh = await token_of(caller, known), await token_of(caller, known)
            assert await statuses(caller, 1, bearer(token)) == [200]
            assert await statuses(caller, 6, {}) == [200] * 5 + [429]
            assert await statuses(caller, 1, bearer(token)) == [200]
            assert await statuses(caller, 1, bearer(fresh)) == [429]

    run(go())
