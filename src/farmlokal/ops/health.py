"""Whether this process lives and whether it can serve: two questions with two answers.

A process that lives and cannot serve (its database is away) must be left alone, not restarted.
"""

from msgspec import Struct

from farmlokal.errors import Unavailable
from farmlokal.platform.database.port import Database
from farmlokal.platform.redis import RedisState


class Check(Struct, frozen=True):
    """One dependency: whether it answers, and if not, why and what mends it."""

    ok: bool
    reason: str | None = None


class Readiness(Struct, frozen=True):
    """`ready` when every dependency answers, `degraded` when one is away that can be done without."""

    status: str
    checks: dict[str, Check]


async def check_database(database: Database, expected_schema: str) -> Check:
    """Ask the database for the version of its schema."""
    try:
        found = await database.schema_version()
    except Unavailable as error:
        return Check(False, error.detail)
    if found != expected_schema:
        at = f"at {found}" if found else "not there"
        return Check(False, f"the schema is {at}, expected {expected_schema}: run `farmlokal migrate`")
    return Check(True)


def check_redis(state: RedisState) -> Check:
    """What the watch over Redis knows: nothing is asked here, so a frozen server delays no answer."""
    return Check(True) if state.up else Check(False, f"{state.reason}: going on without it")
