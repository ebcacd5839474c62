"""The client's side of a token endpoint, against a provider over real HTTP."""

from typing import Literal

import pytest

from farmlokal.oauth.upstream import NoGrant, TokenEndpoint
from farmlokal.oauth.upstream.token import Grant
from farmlokal.platform.http_client import HttpClient
from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET, FAULTS, Behaviour
from tests.support.catalogue import run
from tests.support.provider import Running, simulated

BASIC: Literal["client_secret_basic"] = "client_secret_basic"
POST: Literal["client_secret_post"] = "client_secret_post"
PATIENT_S = 30.0


def fetch(
    provider: Running,
    client_id: str = CLIENT_ID,
    secret: str = CLIENT_SECRET,
    auth: Literal["client_secret_basic", "client_secret_post"] = BASIC,
    scope: str | None = None,
    within_s: float = PATIENT_S,
) -> Grant:
    """One call."""

    async def go() -> Grant:
        endpoint = TokenEndpoint(HttpClient(1), provider.token_url, client_id, secret, scope, auth)
        await endpoint.open()
        try:
            return await endpoint.fetch(within_s)
        finally:
            await endpoint.close()

    return run(go())


@pytest.mark.parametrize("auth", [BASIC, POST])
@pytest.mark.parametrize(
    ("client_id", "secret"),
    [
        (CLIENT_ID, CLIENT_SECRET),
        ("foo — bar! +<&>*", "pass: %26+ € = &x=y"),
        ("with:colon", ":"),
        ("नमस्ते", "🥭" * 10),
        ("%41", "%2B+"),
    ],
)
def test_both_ways_to_authenticate(
    client_id: str, secret: str, auth: Literal["client_secret_basic", "client_secret_post"]
) -> None:
    """The provider knows us by header or by form, as the settings say, whatever characters id and secret
    have, and is asked for the scope in the settings."""
    with simulated(client_id, secret) as provider:
        grant = fetch(provider, client_id, secret, auth, scope="prices stock")
        assert (grant.scope, grant.life_s) == ("prices stock", 3600)
        [call] = provider.simulator.provider.calls
        assert call.method == auth
        with pytest.raises(NoGrant, match=r"^status 401 invalid_client$"):
            fetch(provider, client_id, secret + "!", auth)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_no_grant(fault: str) -> None:
    """Whatever a provider does in place of an answer, there is no token, and a reason in words of ours."""
    with simulated() as provider:
        provider.play(Behaviour(fault=fault))
        endless = fault in {"hang", "drip", "drip-head"}
        with pytest.raises(NoGrant) as refusal:
            fetch(provider, within_s=0.5 if endless else PATIENT_S)
        assert str(refusal.value) in {
            "timeout", "connection", "protocol", "too large", "coding", "no token answer", "status 307",
        }  # fmt: skip
        assert provider.simulator.canaries == 0


@pytest.mark.parametrize(
    ("asked", "believed"),
    [("7", 7.0), ("0", 0.0), ("999999", 999_999.0), ("-1", 0.0), ("soon", 0.0), ("9" * 50, 0.0), ("²", 0.0)],
)
def test_the_provider_may_ask_for_a_pause(asked: str, believed: float) -> None:
    """Seconds in Retry-After are handed on; anything else asks for nothing."""
    with simulated() as provider:
        provider.play(Behaviour(status=429, retry_after=asked))
        with pytest.raises(NoGrant, match=r"^status 429$") as refusal:
            fetch(provider)
        assert refusal.value.retry_after_s == believed


def test_what_the_provider_writes_goes_nowhere() -> None:
    """Of a provider's own words only the codes of RFC 6749 are repeated, and never a secret that it sends
    back."""
    with simulated() as provider:
        for words in ("canary", CLIENT_SECRET, "canary\r\n", "invalid_client canary"):
            provider.play(Behaviour(members={"error": words}, without=("access_token",)))
            with pytest.raises(NoGrant) as refusal:
                fetch(provider)
            assert str(refusal.value) == "no access token"
            assert refusal.value.__suppress_context__ or refusal.value.__context__ is None
