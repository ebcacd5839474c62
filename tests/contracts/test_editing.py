"""Writes of the catalogue over HTTP, on every engine."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import httpx2
import msgspec
import pytest

from tests.support.asgi import application, calling
from tests.support.catalogue import Shelf, run
from tests.support.engines import FreshDatabase
from tests.support.oauth import bearer, register, token_of

PRODUCT: dict[str, Any] = {
    "name": "Nendran banana",
    "names": {"ml": "നേന്ത്രപ്പഴം"},
    "category": "Fruits",
    "price": "36.00",
    "pack": {"value": "0.5", "unit": "kg"},
    "stock": {"available": "48.5"},
    "organic": True,
    "harvestedOn": "2026-11-20",
}
SELLER = {
    "kind": "farm",
    "name": "Thrissur Growers",
    "district": "Thrissur",
    "state": "Kerala",
    "location": {"latitude": "10.52", "longitude": "76.21"},
}
MERGE = {"content-type": "application/merge-patch+json"}
NDJSON = {"content-type": "application/x-ndjson"}


class Writer:
    """A caller with a token that may write."""

    def __init__(self, caller: httpx2.AsyncClient, token: str) -> None:
        self.caller, self.headers = caller, bearer(token)

    async def send(self, method: str, path: str, json: Any = None, **headers: str) -> httpx2.Response:
        """One request; underscores in names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {**self.headers, **(MERGE if method == "PATCH" else {}), **named}
        if json is None:
            return await self.caller.request(method, path, headers=given)
        given = {"content-type": "application/json", **given}
        return await self.caller.request(method, path, content=msgspec.json.encode(json), headers=given)

    async def bulk(self, key: str | None, *lines: Any) -> httpx2.Response:
        """Lines, those that are bytes as they are."""
        content = b"".join(
            (line if isinstance(line, bytes) else msgspec.json.encode(line)) + b"\n" for line in lines
        )
        given = {**self.headers, **NDJSON, **({"idempotency-key": key} if key else {})}
        return await self.caller.post("/api/products:bulk", content=content, headers=given)

    async def make(self, **more: Any) -> dict[str, Any]:
        """A new product of seller 1."""
        answer = await self.send("POST", "/api/products", {**PRODUCT, "sellerId": 1, **more})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


def results(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The lines of a bulk answer."""
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


@pytest.fixture
def shop(fresh_database: FreshDatabase, fresh_shelf: Shelf) -> FreshDatabase:
    """A database with two sellers, whose ids are 1 and 2."""
    assert (fresh_shelf.seller("one"), fresh_shelf.seller("two")) == (1, 2)
    with closing(fresh_database.connect()) as connection:
        connection.execute("DELETE FROM catalogue_version")
        connection.execute("INSERT INTO catalogue_version VALUES (1, 1)")
    return fresh_database


def writing(database: FreshDatabase, work: Callable[[Writer], Awaitable[None]], **client: Any) -> None:
    """Do something with an application and a writer, bound to a seller or not."""

    async def go() -> None:
        known = await register(database.url, ["catalog:write"], **client)
        async with calling(application(database.url)) as caller:
            await work(Writer(caller, await token_of(caller, known)))

    run(go(), timeout_s=120)


def test_a_product_is_made_shown_changed_and_deleted(shop: FreshDatabase) -> None:
    """A new product is at its location, as it was sent; a merge patch changes what it names, null takes away;
    a deleted product is gone from its place and reported as a tombstone."""

    async def work(writer: Writer) -> None:
        answer = await writer.send("POST", "/api/products", {**PRODUCT, "sellerId": 1})
        made = answer.json()
        at = f"/api/products/{made['id']}"
        assert (answer.status_code, answer.headers["location"]) == (201, at)
        shown = await writer.caller.get(at)
        assert (shown.json(), shown.headers["etag"]) == (made, answer.headers["etag"])
        assert made["unitPrice"] == {"amount": "72.00", "per": "kg"}
        assert made["stock"] == {"available": "48.5", "unit": "kg"}
        assert made["names"] == {"en": "Nendran banana", "hi": None, "ml": "നേന്ത്രപ്പഴം"}
        assert (made["seller"]["id"], made["source"], made["version"]) == (1, "api", 1)

        patch = {"price": "40.00", "pack": {"value": "2"}, "names": {"hi": "केला", "ml": None}, "stock": None}
        changed = (await writer.send("PATCH", at, patch)).json()
        assert (changed["price"], changed["unitPrice"]["amount"]) == ("40.00", "20.00")
        assert changed["names"] == {"en": "Nendran banana", "hi": "केला", "ml": None}
        assert (changed["stock"], changed["organic"], changed["version"]) == (None, True, 2)
        assert (await writer.send("PATCH", at, {"price": "40"})).json()["version"] == 2  # nothing changed
        history = (await writer.caller.get(f"{at}/prices")).json()["data"]
        assert [each["price"] for each in history] == ["40.00"]

        gone = await writer.send("DELETE", at)
        assert (gone.status_code, gone.content) == (204, b"")
        assert (await writer.caller.get(at)).status_code == 404
        for method, body in (("PATCH", {}), ("DELETE", None)):
            assert (await writer.send(method, at, body)).status_code == 404
        since = (
            f"/api/products?updatedSince={made['createdAt'] if 'createdAt' in made else made['created_at']}"
        )
        assert "deletedAt" in (await writer.caller.get(since)).json()["data"][0]

    writing(shop, work)


def test_a_write_is_in_the_listings_of_every_process(shop: FreshDatabase) -> None:
    """A write is in listings that were cached before, here and in another process, within a second."""

    async def work(writer: Writer) -> None:
        async with calling(application(shop.url)) as elsewhere:
            for caller in (writer.caller, elsewhere):
                assert (await caller.get("/api/products")).json()["data"] == []
            made = await writer.make()
            for caller in (writer.caller, elsewhere):
                deadline = time.monotonic() + 15  # a second is promised; the rest is for a busy machine
                while not (page := (await caller.get("/api/products")).json()["data"]):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.02)
                assert [each["id"] for each in page] == [made["id"]]
            found = (await elsewhere.get("/api/products?search=nendran&category=fruits")).json()["data"]
            assert [each["id"] for each in found] == [made["id"]]

    writing(shop, work)


def test_every_wrong_member_is_named_at_once(shop: FreshDatabase) -> None:
    """A document with many faults gets one refusal that names each with what would do."""

    async def work(writer: Writer) -> None:
        wrong: dict[str, Any] = {
            "sellerId": "x",
            "nmae": "Okra",
            "name": " ",
            "names": {"hi": 1, "fr": "gombo"},
            "category": None,
            "price": "-1",
            "pack": {"value": "0", "unit": "stone"},
            "stock": [],
            "organic": "yes",
            "harvestedOn": "2026-13-01",
            "imageUrl": "javascript:x",
            "description": "x" * 2001,
            "grade": "\u0000",
        }
        answer = await writer.send("POST", "/api/products", wrong)
        assert answer.status_code == 400
        named = {fault["parameter"] for fault in answer.json()["errors"]}
        assert named == {
            *("sellerId", "nmae", "name", "names.hi", "names.fr", "category", "price", "pack.value"),
            *("pack.unit", "stock", "organic", "harvestedOn", "imageUrl", "description", "grade"),
        }
        assert all(fault["accepted"] for fault in answer.json()["errors"])
        made = await writer.make()
        patched = await writer.send("PATCH", f"/api/products/{made['id']}", {"price": "x", "sellerId": 2})
        assert [fault["parameter"] for fault in patched.json()["errors"]] == ["sellerId"]
        unknown = await writer.send("POST", "/api/products", {**PRODUCT, "sellerId": 99})
        assert [fault["parameter"] for fault in unknown.json()["errors"]] == ["sellerId"]
        seller = await writer.send("POST", "/api/sellers", {"kind": "shop", "location": {"latitude": "91"}})
        named = {fault["parameter"] for fault in seller.json()["errors"]}
        assert named == {"kind", "name", "district", "state", "location"}

    writing(shop, work)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"price":NaN}', b'{"name":"a","name":"b"}'),
        *(b"[" * 60_000, b'{"names":' * 3000 + b"1" + b"}" * 3000, b'{"price":' + b"9" * 5000 + b"}"),
        *(b'{"name":"\\ud800"}', b'{"\\ud800":1}', b'{"names":{"\\ud800":1}}'),
    ],
)
def test_what_is_no_object_is_refused(database_path: Any, body: bytes) -> None:
    """Bodies that are no JSON object, or hold what no field takes, are refused with 400."""

    async def go() -> None:
        url = f"sqlite:///{database_path}"
        known = await register(url, ["catalog:write"])
        async with calling(application(database_path)) as caller:
            headers = bearer(await token_of(caller, known)) | {"content-type": "application/json"}
            answer = await caller.post("/api/products", content=body, headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")

    run(go())


def test_a_change_meant_for_another_copy_is_refused(shop: FreshDatabase) -> None:
    """If-Match with the tag of the copy, in any coding and language, lets a change through; with any other,
    412 and nothing changes. Of many changes at once to one copy, one gets through."""

    async def work(writer: Writer) -> None:
        made = await writer.make()
        at = f"/api/products/{made['id']}"
        old = (await writer.caller.get(at)).headers["etag"]
        hindi = (await writer.caller.get(f"{at}?lang=ml")).headers["etag"]
        assert (await writer.send("PATCH", at, {"price": "1"}, if_match='"x"')).status_code == 412
        assert (await writer.send("DELETE", at, if_match='"x", W/"y"')).status_code == 412
        assert (await writer.send("PATCH", at, {"price": "2"}, if_match=hindi)).status_code == 200
        assert (await writer.send("PATCH", at, {"price": "3"}, if_match=old)).status_code == 412
        now = (await writer.caller.get(at)).headers["etag"]
        tries = [writer.send("PATCH", at, {"price": str(n + 10)}, if_match=now) for n in range(8)]
        statuses = sorted(answer.status_code for answer in await asyncio.gather(*tries))
        assert statuses == [200] + [412] * 7
        assert (await writer.caller.get(at)).json()["version"] == 3
        assert (await writer.send("PATCH", at, {"price": "4"}, if_match="*")).status_code == 200
        assert (await writer.send("PATCH", "/api/products/999", {}, if_match="*")).status_code == 404
        now = (await writer.caller.get(at)).headers["etag"].strip('"')
        assert (await writer.send("DELETE", at, if_match=f'"{now}-br"')).status_code == 204

    writing(shop, work)


def test_concurrent_changes_are_all_kept(shop: FreshDatabase) -> None:
    """Patches of different members at once each find what the others wrote: none is lost."""

    async def work(writer: Writer) -> None:
        made = await writer.make()
        at = f"/api/products/{made['id']}"
        patches = [{"grade": "A"}, {"variety": "Nendran"}, {"commodity": "Banana"}, {"certification": "PGS"}]
        answers = await asyncio.gather(*(writer.send("PATCH", at, patch) for patch in patches))
        assert [answer.status_code for answer in answers] == [200] * 4
        shown = (await writer.caller.get(at)).json()
        assert {name: shown[name] for patch in patches for name in patch} == {
            name: value for patch in patches for name, value in patch.items()
        }
        assert shown["version"] == 5

    writing(shop, work)


def test_a_bound_client_writes_its_own_products_only(shop: FreshDatabase) -> None:
    """A client that is bound to a seller writes that seller's products, and may change that seller;
    others are refused with 403."""

    async def free(writer: Writer) -> None:
        await writer.make()

    async def bound(writer: Writer) -> None:
        mine = await writer.send("POST", "/api/products", PRODUCT)
        assert (mine.status_code, mine.json()["seller"]["id"]) == (201, 2)
        at = f"/api/products/{mine.json()['id']}"
        assert (await writer.send("PATCH", at, {"price": "1"})).status_code == 200
        other = {**PRODUCT, "sellerId": 1}
        refused = [
            await writer.send("POST", "/api/products", other),
            await writer.send("PATCH", "/api/products/1", {"price": "1"}),
            await writer.send("DELETE", "/api/products/1"),
            await writer.send("PATCH", "/api/sellers/1", {"name": "Mine"}),
            await writer.send("POST", "/api/sellers", SELLER),
            await writer.send("DELETE", "/api/sellers/2"),
        ]
        assert [answer.status_code for answer in refused] == [403] * 6
        assert (await writer.send("PATCH", "/api/sellers/2", {"name": "Renamed"})).json()["name"] == "Renamed"
        lines = results(await writer.bulk("b", other, {"id": 1, "delete": True}, {"id": 2, "price": "5"}))
        assert [line["status"] for line in lines] == [403, 403, 200]
        assert (await writer.send("DELETE", at)).status_code == 204

    writing(shop, free)
    writing(shop, bound, seller_id=2)


def test_sellers_are_made_changed_and_deleted(shop: FreshDatabase) -> None:
    """Sellers are written like products; one who still sells cannot be deleted."""

    async def work(writer: Writer) -> None:
        answer = await writer.send("POST", "/api/sellers", {**SELLER, "externalKey": "growers"})
        made = answer.json()
        at = f"/api/sellers/{made['id']}"
        assert (answer.status_code, answer.headers["location"]) == (201, at)
        assert (await writer.caller.get(at)).json() == made
        twin = await writer.send("POST", "/api/sellers", {**SELLER, "externalKey": "growers"})
        assert twin.status_code == 409
        patch = {"location": {"latitude": "11"}, "postcode": "680001"}
        changed = await writer.send("PATCH", at, patch, if_match=answer.headers["etag"])
        assert changed.json()["location"] == {"latitude": "11.000000", "longitude": "76.210000"}
        assert (await writer.send("PATCH", at, {}, if_match=answer.headers["etag"])).status_code == 412
        product = await writer.make(sellerId=made["id"])
        assert (await writer.send("DELETE", at)).status_code == 409
        await writer.send("DELETE", f"/api/products/{product['id']}")
        assert (await writer.send("DELETE", at)).status_code == 204
        assert (await writer.caller.get(at)).status_code == 404
        late = await writer.send("POST", "/api/products", {**PRODUCT, "sellerId": made["id"]})
        assert late.status_code == 400

    writing(shop, work)


def test_each_line_has_its_result(shop: FreshDatabase) -> None:
    """Lines are done in order, each with its result, whatever becomes of others."""

    async def work(writer: Writer) -> None:
        new = {**PRODUCT, "sellerId": 1}
        answer = await writer.bulk(
            '"lines"',
            {**new, "externalKey": "k"},
            {**new, "externalKey": "k"},
            {**new, "price": "x", "organic": 3},
            b"not json",
            {"id": 1, "price": "50.00"},
            {"id": 1, "price": "51.00", "version": 1},
            {"id": 1, "price": "52.00", "version": 2},
            {"id": 999, "price": "1"},
            {"id": 1, "delete": True, "price": "1"},
            {"id": 1, "delete": True},
            {"delete": True},
            {"id": -1},
        )
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = results(answer)
        assert [line["line"] for line in lines] == list(range(1, 13))
        assert [line["status"] for line in lines] == [
            201,
            409,
            400,
            400,
            200,
            412,
            200,
            404,
            400,
            204,
            400,
            400,
        ]
        assert [line["version"] for line in lines if "version" in line] == [1, 2, 3, 4]
        assert {fault["parameter"] for fault in lines[2]["errors"]} == {"price", "organic"}
        assert (await writer.caller.get("/api/products/1")).status_code == 404

    writing(shop, work)


def test_a_bulk_request_sent_again_is_not_done_again(shop: FreshDatabase) -> None:
    """The same key and body get the same answer and change nothing; the key with another body is 422, none is
    400, and a twin that is under way is 409."""

    async def work(writer: Writer) -> None:
        lines = [{**PRODUCT, "sellerId": 1, "name": f"Okra {number}"} for number in range(250)]
        first, twin = await asyncio.gather(writer.bulk('"k"', *lines), writer.bulk("k", *lines))
        assert sorted([first.status_code, twin.status_code]) == [200, 409]
        done = first if first.status_code == 200 else twin
        assert [line["status"] for line in results(done)] == [201] * 250
        again = await writer.bulk("k", *lines)
        assert again.content == done.content
        assert (await writer.caller.get("/api/products?count=exact&limit=1")).json()["total"] == 250
        assert (await writer.bulk("k", *lines[1:])).status_code == 422
        for key in (None, "a b", '"', "x" * 201):
            assert (await writer.bulk(key, *lines[:1])).status_code == 400, key
        assert (await writer.bulk("empty")).status_code == 400

    writing(shop, work)


def test_a_bulk_request_goes_on_where_it_was_cut_off(shop: FreshDatabase) -> None:
    """A request that was cut off between two batches is finished by the next try, once its turn has ended;
    each line is done once."""

    async def work(writer: Writer) -> None:
        lines = [{**PRODUCT, "sellerId": 1, "name": f"Okra {number}"} for number in range(250)]
        done = await writer.bulk("k", *lines)
        with closing(shop.connect()) as connection:  # as a crash after the first batch leaves it
            ids = [line["id"] for line in results(done)[100:]]
            marks = ", ".join("?" * len(ids))
            connection.execute(f"DELETE FROM price_history WHERE product_id IN ({marks})", tuple(ids))
            connection.execute(f"DELETE FROM products WHERE id IN ({marks})", tuple(ids))
            connection.execute("DELETE FROM bulk_results WHERE first_line >= 100")
            connection.execute("UPDATE bulk_writes SET lines_done = 100, finished = 0")
        assert (await writer.bulk("k", *lines)).status_code == 409
        with closing(shop.connect()) as connection:
            connection.execute("UPDATE bulk_writes SET owned_until_us = 1")
        again = await writer.bulk("k", *lines)
        assert again.content.splitlines()[:100] == done.content.splitlines()[:100]
        assert [line["status"] for line in results(again)] == [201] * 250
        with closing(shop.connect()) as connection:
            [(count,)] = connection.execute("SELECT COUNT(*) FROM products").fetchall()
        assert count == 250

    writing(shop, work)


def test_every_change_has_an_audit_row(shop: FreshDatabase) -> None:
    """Each change says who made it, when, of what, and what was sent; a refusal and a change of nothing leave
    no row."""

    async def work(writer: Writer) -> None:
        made = await writer.make()
        at = f"/api/products/{made['id']}"
        await writer.send("PATCH", at, {"price": "40.00"})
        await writer.send("PATCH", at, {"price": "40.00"})
        await writer.send("PATCH", at, {"price": "x"})
        await writer.send("PATCH", "/api/sellers/1", {"name": "Other"})
        await writer.send("DELETE", at)

    writing(shop, work, client_id="auditee")
    with closing(shop.connect()) as connection:
        rows = connection.execute(
            "SELECT client_id, action, kind, target_id, version, members, at_us FROM audit_log ORDER BY id"
        ).fetchall()
    who = {row[0].decode() if isinstance(row[0], bytes) else row[0] for row in rows}
    assert who == {"auditee"}
    assert [tuple(row[1:5]) for row in rows] == [
        ("create", "product", 1, 1),
        ("change", "product", 1, 2),
        ("change", "seller", 1, 2),
        ("delete", "product", 1, 3),
    ]
    assert msgspec.json.decode(rows[1][5]) == {"price": "40.00"}
    assert all(row[6] > 1_700_000_000_000_000 for row in rows)


def test_writes_need_the_scope_and_the_type(shop: FreshDatabase) -> None:
    """Writes are refused without a token (401), without the scope (403), of another type (415), too large
    (413), and with parameters (400); 405 lists what a path takes."""

    async def go() -> None:
        reader = await register(shop.url, ["orders:read"])
        known = await register(shop.url, ["catalog:write"])
        paths = [("POST", "/api/products"), ("PATCH", "/api/products/1"), ("DELETE", "/api/products/1")]
        paths += [("POST", "/api/products:bulk"), ("POST", "/api/sellers"), ("PATCH", "/api/sellers/1")]
        paths += [("DELETE", "/api/sellers/1")]
        async with calling(application(shop.url)) as caller:
            other = bearer(await token_of(caller, reader))
            writer = Writer(caller, await token_of(caller, known))
            for method, path in paths:
                assert (await caller.request(method, path)).status_code == 401
                refused = await caller.request(method, path, headers=other)
                assert refused.status_code == 403
                assert 'scope="catalog:write"' in refused.headers["www-authenticate"]
                assert (await writer.send(method, f"{path}?x=1", {})).status_code == 400
                if method != "DELETE":
                    typed = await writer.send(method, path, {}, content_type="text/plain")
                    assert typed.status_code == 415
            large = await writer.send("POST", "/api/products", {"name": "x" * 70_000})
            assert large.status_code == 413
            wrong = await caller.put("/api/products/1")
            assert {each.strip() for each in wrong.headers["allow"].split(",")} == {
                *("GET", "HEAD", "PATCH", "DELETE"),
            }

    run(go())
