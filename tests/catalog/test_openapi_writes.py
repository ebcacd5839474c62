"""The OpenAPI document of what writes and of what gives tokens: its examples work as they stand."""

from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import msgspec

from tests.support.asgi import application, calling, furnish
from tests.support.catalogue import Shelf, connect, new_database, run
from tests.support.oauth import Known, bearer, register, token_of
from tests.support.servers.place import free_port

ORDER = ("post", "patch", "delete")
"""What is made first can be changed and deleted after."""

ELSEWHERE = ("/webhook/{source}/order-update", "/api/webhooks/dead-letters/{id}/replay")
"""What needs a sender's own signature, or something to repair: tests/orders."""


def validate(document: dict[str, Any], described: dict[str, Any], answer: httpx2.Response) -> None:
    """The answer is as the document says: its status, its media type, its body."""
    responses = described["responses"]
    assert str(answer.status_code) in responses, (described["operationId"], answer.status_code, answer.text)
    content = responses[str(answer.status_code)].get("content", {})
    if not content:
        assert not answer.content
        return
    schema = {**content[answer.headers["content-type"]]["schema"], "components": document["components"]}
    check = jsonschema_rs.validator_for(schema, validate_formats=True)
    lines = answer.content.splitlines() if "ndjson" in answer.headers["content-type"] else [answer.content]
    for line in lines:
        check.validate(msgspec.json.decode(line))


def requests(
    document: dict[str, Any], known: Known, token: str
) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(method, path, operation, how it is asked) of every operation that does not read, by its example."""
    found = []
    for path, item in document["paths"].items():
        for method in ORDER:
            if method not in item or path in ELSEWHERE:
                continue
            described = item[method]
            secured = "token" in described.get("security", [{}])[0]
            headers = bearer(token) if secured else known.basic
            for parameter in described["parameters"]:
                if parameter["in"] == "header" and parameter["required"]:
                    headers[parameter["name"]] = parameter["example"]
            path = path.replace("{name}", "external")
            if path.endswith("/approve"):  # tests/suppliers/test_openapi.py has a job that waits
                continue
            content = None
            for media, body in described.get("requestBody", {"content": {}})["content"].items():
                headers["content-type"] = media
                content = encoded(media, body["example"], token)
            found.append(
                (method, path.replace("{id}", "7"), described, {"headers": headers, "content": content})
            )
    return sorted(found, key=lambda each: (ORDER.index(each[0]), "revoke" in each[1]))


def encoded(media: str, example: Any, token: str) -> bytes:
    """An example as it is sent; where it holds a token, a real one."""
    if media == "application/x-www-form-urlencoded":
        example = {**example, **({"token": token} if "token" in example else {})}
        return "&".join(f"{name}={value}" for name, value in example.items()).encode()
    return example.encode() if isinstance(example, str) else msgspec.json.encode(example)


def test_every_example_of_a_write_works(tmp_path: Path) -> None:
    """Every body in the document is accepted as it stands and answered as described, and so is the same
    without credentials."""
    path = new_database(tmp_path)
    connection = connect(path)
    furnish(Shelf(connection))
    connection.close()

    nobody = {"FARMLOKAL_SUPPLIER_URL": f"http://127.0.0.1:{free_port()}/products"}

    async def go() -> None:
        known = await register(f"sqlite:///{path}", ["catalog:write", "ops:read", "suppliers:sync"])
        async with calling(application(path, nobody)) as caller:
            document = (await caller.get("/openapi.json")).json()
            token = await token_of(caller, known)
            asked = requests(document, known, await token_of(caller, known))
            assert len(asked) == 12
            for method, target, described, how in asked:
                if "delete" in method and "sellers" in target:
                    made = await caller.post(  # one who still sells cannot go
                        "/api/sellers",
                        headers=bearer(token) | {"content-type": "application/json"},
                        content=b'{"kind":"farm","name":"x","district":"y","state":"Kerala"}',
                    )
                    target = made.headers["location"]
                if "sellers/7" in target:
                    target = "/api/sellers/1"
                stranger = {key: value for key, value in how["headers"].items() if key != "authorization"}
                refused = await caller.request(
                    method.upper(), target, headers=stranger, content=how["content"]
                )
                assert refused.status_code == (401 if "security" in described else 200)
                validate(document, described, refused)
                headers = how["headers"] | (
                    bearer(token) if "token" in described.get("security", [{}])[0] else {}
                )
                answer = await caller.request(method.upper(), target, headers=headers, content=how["content"])
                assert answer.status_code in (200, 201, 202, 204), (target, answer.text)
                validate(document, described, answer)
                if "ndjson" in str(answer.headers.get("content-type")):
                    statuses = [msgspec.json.decode(line)["status"] for line in answer.content.splitlines()]
                    assert statuses == [201, 200, 204]

    run(go())
