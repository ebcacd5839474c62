"""Secrets: compared in one place, in the same way for everyone."""

import ast
import sys
from collections import Counter
from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from farmlokal.oauth.credentials import SLOTS, SecretDigests, new_secret
from farmlokal.oauth.models import RegisteredClient, StoredSecret
from tests.house.files import SOURCE, functions, modules

KEYS = (b"k" * 32, b"l" * 32)


def _client(digests: SecretDigests, *secrets: str) -> RegisteredClient:
    """A client with these secrets."""
    return RegisteredClient(
        client_id="c",
        name="c",
        scopes=frozenset({"ops:read"}),
        algorithm="ES256",
        seller_id=None,
        valid_from_us=0,
        created_at_us=0,
        disabled_at_us=None,
        secrets=tuple(StoredSecret(digests.digest(secret), 0, None) for secret in secrets),
    )


def _calls(work: Callable[[], Any]) -> Counter[str]:
    """How often each function written in C is called."""
    made: Counter[str] = Counter()

    def note(_frame: Any, event: str, called: Any) -> None:
        if event == "c_call":
            made[called.__name__] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return made


def test_secrets_of_clients_are_compared_in_one_place() -> None:
    """One function compares the secrets of clients, and it has one call that does."""
    found = [
        (path, function.name)
        for path, tree in modules(SOURCE / "oauth")
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("compare_digest")
    ]
    assert found == [("src/farmlokal/oauth/credentials.py", "match")]


def test_an_unknown_client_costs_the_same_work() -> None:
    """Whether a client is unknown, has one secret or two, and whichever of them is presented: each check
    makes the same digests and the same comparisons."""
    digests = SecretDigests(KEYS)
    one, two = new_secret(), new_secret()
    with_one, with_two = _client(digests, one), _client(digests, one, two)
    tried: dict[str, Callable[[], bool]] = {
        "unknown": lambda: digests.match(None, one, 1),
        "wrong": lambda: digests.match(with_one, two, 1),
        "right": lambda: digests.match(with_one, one, 1),
        "first of two": lambda: digests.match(with_two, one, 1),
        "second of two": lambda: digests.match(with_two, two, 1),
    }
    assert [check() for check in tried.values()] == [False, False, True, True, True]
    name = compare_digest.__name__
    work = {case: _calls(check) for case, check in tried.items()}
    assert {case: calls[name] for case, calls in work.items()} == dict.fromkeys(tried, SLOTS * len(KEYS))
    digested = {case: sum(n for each, n in calls.items() if "digest" in each) for case, calls in work.items()}
    assert len(set(digested.values())) == 1
