"""What is looked at before anything is served or written, and by `farmlokal doctor`."""

import platform
from typing import NamedTuple

from farmlokal.errors import DomainError, Unavailable
from farmlokal.oauth.upstream import NoGrant, Timing, TokenEndpoint
from farmlokal.ops.health import check_database
from farmlokal.platform.database.port import Database, Transaction


class Finding(NamedTuple):
    """One thing that was checked; `what` names the mend when it is not well."""

    ok: bool
    what: str


async def require_schema(database: Database, expected: str) -> None:
    """Raises `Unavailable` unless the open database answers and has this version of the schema."""
    check = await check_database(database, expected)
    if not check.ok:
        raise Unavailable(check.reason or "the database does not answer")


async def require_durable(database: Database) -> None:
    """Raises `Unavailable`, naming every reason, if a power cut could take a commit that was answered."""
    if reasons := await database.check_durability():
        raise Unavailable(f"refused in production, a commit could be lost: {'; '.join(reasons)}")


async def examine(database: Database, expected_schema: str) -> list[Finding]:
    """Every check, whatever the others found. Opens and closes the database."""
    findings = [Finding(True, f"Python {platform.python_version()}")]
    try:
        await database.open()
        await require_schema(database, expected_schema)
        [(products,)] = await database.fetch_all("SELECT COUNT(*) FROM products")
        findings.append(Finding(True, f"database: {await database.describe()}, schema {expected_schema}"))
        mend = "" if products else "; `farmlokal seed` or `farmlokal import FILE…` fills it"
        findings.append(Finding(True, f"catalogue: {products:,} products{mend}"))
        await database.write(_nothing)
        findings.append(Finding(True, "database takes writes"))
        reasons = await database.check_durability()
        findings.extend(Finding(False, f"a commit could be lost: {reason}") for reason in reasons)
        if not reasons:
            findings.append(Finding(True, "commits survive a power cut"))
    except DomainError as error:
        findings.append(Finding(False, error.detail))
    finally:
        await database.close()
    return findings


async def examine_provider(endpoint: TokenEndpoint, timing: Timing = Timing()) -> Finding:  # noqa: B008
    """Ask the provider of upstream tokens for one: the only way to know whether it would give it. Opens and
    closes the endpoint."""
    what = "the provider of upstream tokens"
    try:
        await endpoint.open()
        grant = await endpoint.fetch(timing.call_s)
    except NoGrant as failure:
        return Finding(False, f"{what}: {failure}; see FARMLOKAL_UPSTREAM_TOKEN_URL and those beside it")
    finally:
        await endpoint.close()
    if grant.life_s <= timing.least_s:
        return Finding(False, f"{what}: its tokens live for {grant.life_s:.0f} s, which is too short")
    return Finding(True, f"{what} gives tokens that live for {grant.life_s:.0f} s")


async def _nothing(tx: Transaction) -> None:
    """The least write there is: one that a server which takes none still refuses."""
    await tx.execute("UPDATE imports SET rows_done = rows_done WHERE id = 0")
