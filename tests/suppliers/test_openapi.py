"""The OpenAPI document of suppliers and jobs: every status of theirs is reached, and no other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from farmlokal.suppliers.jobs import State
from tests.support.asgi import application, calling
from tests.support.catalogue import run
from tests.support.clock import ManualClock
from tests.support.oauth import bearer, register, token_of
from tests.support.provider import Running, simulated
from tests.support.suppliers import done, settings_of, synced, syncing

NEVER = {"500"}
"""A bug of ours, by definition."""


@pytest.fixture
def outside() -> Iterator[Running]:
    """A supplier of the test's own."""
    with simulated() as running:
        yield running


def validate(document: dict[str, Any], described: dict[str, Any], answer: httpx2.Response) -> None:
    """The answer is as the document says."""
    content = described["responses"][str(answer.status_code)]["content"]
    schema = {**content[answer.headers["content-type"]]["schema"], "components": document["components"]}
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer.json())


def test_every_documented_status_is_reached(database_path: Path, outside: Running) -> None:
    """Every status that the document lists for suppliers and jobs is one that some request gets, and every
    answer is as it says."""
    url = f"sqlite:///{database_path}"

    async def waiting() -> int:
        """A job that waits: all that was offered is gone."""
        async with syncing(url, outside, ManualClock()) as sync:
            await done(sync, "shop")
            outside.simulator.supplier.goods["shopify"] = []
            job = await synced(sync, "shop")
            assert job.state == State.WAITING
            return job.id

    async def go() -> None:
        job = await waiting()
        known = await register(url, ["suppliers:sync", "ops:read", "orders:read"])
        settings = settings_of(url, outside) | {"FARMLOKAL_RATE_LIMIT": "13/86400s;burst=13"}
        async with calling(application(url, settings_of(url, outside))) as caller:
            document = (await caller.get("/openapi.json")).json()
            right = bearer(await token_of(caller, known, scope="suppliers:sync ops:read"))
            wrong = bearer(await token_of(caller, known, scope="orders:read"))
        async with calling(application(url, settings)) as spent:
            while (await spent.get("/api/suppliers", headers=right)).status_code != 429:
                pass
            async with calling(application(url, settings_of(url, outside))) as caller:
                for method, template, path in (
                    ("get", "/api/suppliers", "/api/suppliers"),
                    ("get", "/api/jobs/{id}", f"/api/jobs/{job}"),
                    ("post", "/api/jobs/{id}/approve", f"/api/jobs/{job}/approve"),
                    ("post", "/api/suppliers/{name}/sync", "/api/suppliers/external/sync"),
                ):
                    described = document["paths"][template][method]
                    large = {**right, "x-large": "a" * 20_000}
                    answers = [
                        await caller.request(method, path),
                        await caller.request(method, path, headers=wrong),
                        await caller.request(method, path, headers=large),
                        await caller.request(method, f"{path}?nonsense=1", headers=right),
                        await spent.request(method, path, headers=right),
                        await caller.request(method, path, headers=right),
                        await caller.request(method, path, headers=right),
                    ]
                    if "{" in template:
                        nothing = path.replace(f"/{job}", "/999").replace("external", "nobody")
                        answers.append(await caller.request(method, nothing, headers=right))
                    for answer in answers:
                        validate(document, described, answer)
                    reached = {str(answer.status_code) for answer in answers}
                    assert set(described["responses"]) - reached == NEVER, template

    run(go(), 120)
