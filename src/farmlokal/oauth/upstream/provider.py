"""The provider as we see it: one form sent, one answer read, whatever it is."""

import base64
import re
from typing import Literal
from urllib.parse import quote_plus, urlencode

import msgspec

from farmlokal.oauth.upstream.law import Timing
from farmlokal.oauth.upstream.token import Grant, NoGrant, read_grant
from farmlokal.platform.http_client import HttpClient, HttpFailed

ANSWER_BYTES = 65_536
"""Most that is read of an answer: a token of 8 kB and room for what else providers say."""

_CODES = {
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
}
"""RFC 6749 §5.2: of a provider's own words only these are logged."""


class TokenEndpoint:
    """The token endpoint of a provider, and who we are there."""

    def __init__(
        self,
        http: HttpClient,
        url: str,
        client_id: str,
        client_secret: str,
        scope: str | None,
        auth: Literal["client_secret_basic", "client_secret_post"],
        timing: Timing = Timing(),  # noqa: B008  immutable
    ) -> None:
        self._http = http
        self._url = url
        self._scope = scope
        self._timing = timing
        self._headers = {
            "accept": "application/json",
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": "farmlokal",
        }
        form = {"grant_type": "client_credentials"}
        if scope is not None:
            form["scope"] = scope
        if auth == "client_secret_basic":
            # Encoded as a form before they are joined (RFC 6749 §2.3.1): a colon in an id must not end it.
            pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
            self._headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": client_id, "client_secret": client_secret}
        self._form = urlencode(form).encode()
        self.identity = "\n".join((url, client_id, scope or ""))
        """Whose tokens these are: instances with the same share them."""

    async def open(self) -> None:
        """Make ready. Nobody is called yet."""
        await self._http.open()

    async def close(self) -> None:
        """Close what is open."""
        await self._http.close()

    async def fetch(self, within_s: float) -> Grant:
        """One call. Raises `NoGrant`, whatever goes wrong; its words are ours."""
        try:
            answer = await self._http.call(
                "POST", self._url, self._headers, self._form, within_s=within_s, body_bytes=ANSWER_BYTES
            )
        except HttpFailed as failure:
            raise NoGrant(str(failure)) from None
        if answer.status != 200:
            raise NoGrant(
                f"status {answer.status}{_code(answer.body)}",
                _retry_after_s(answer.headers.get("retry-after")),
            )
        return read_grant(answer.body, self._scope, self._timing)


def _code(body: bytes) -> str:
    try:
        code = msgspec.json.decode(body, type=dict[str, object]).get("error")
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return f" {code}" if isinstance(code, str) and code in _CODES else ""


def _retry_after_s(header: str | None) -> float:
    """Seconds; a date counts as none, since the pauses are short and our clock need not be right."""
    return float(header) if header and re.fullmatch("[0-9]{1,6}", header) else 0.0
