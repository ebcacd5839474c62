"""Who is measured beside us, each a process of its own on the servers' core.

The databases have all cores: what is compared is the processor time of whoever speaks to them.
"""

import asyncio
import pickle
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import redis

from bench import nginx
from bench.catalogue import Catalogue
from bench.load import Load
from bench.processes import client, environment, free_port, listening, module, started
from farmlokal.outside import settings_for
from tests.support.servers.place import Missing, cache_folder, one_at_a_time
from tests.support.servers.sql import PASSWORD, USER
from tests.support.servers.valkey import Valkey

BASELINE = Path(__file__).parent / "baselines" / "express"
SECRET_KEY = "a-key-of-the-bench-0123456789-abcdefghij"
WEBHOOK_SECRET = "a-webhook-secret-of-the-bench-0123456789"
NPM_S = 300
MANY = 10**9
"""A limit of Express that refuses nobody."""


class Contender(NamedTuple):
    """A server that is asked over HTTP, and the process whose time (and that of all below it) counts."""

    port: int
    process: "subprocess.Popen[bytes]"


class Bare(NamedTuple):
    """The bare database client, told on its standard input how long to run."""

    process: "subprocess.Popen[str]"

    async def run(self, seconds: float) -> Load:
        """Pages as they come, and its own processor time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        pages, took_s, cpu_s = map(float, (await asyncio.to_thread(self.process.stdout.readline)).split())
        return Load(round(pages), [], took_s, cpu_s)


class Field(NamedTuple):
    """All who take part."""

    servers: dict[str, Contender]
    catalogue: Catalogue
    files: nginx.Files
    express_cache: redis.Redis
    settings: Mapping[str, str]
    credentials: Mapping[str, str]
    folder: Path
    core: int | None


@contextmanager
def field(folder: Path, filled: Catalogue, valkey: Valkey, core: int | None, workers: int) -> Iterator[Field]:
    """Start everyone but the bare client."""
    settings = environment(folder) | {
        "FARMLOKAL_DATABASE_URL": filled.url,
        "FARMLOKAL_REDIS_URL": valkey.url,
        "FARMLOKAL_PROFILE": "production",
        "FARMLOKAL_SECRET_KEY": SECRET_KEY,
        "FARMLOKAL_WEBHOOK_SECRETS": WEBHOOK_SECRET,
    }
    credentials = client(settings, "upstream:token", "catalog:write")
    provider = free_port()
    settings |= settings_for(provider)
    with ExitStack() as stack:
        stack.enter_context(
            started(module("farmlokal", "simulator", "--port", str(provider)), settings, None)
        )
        servers = {}

        def start(name: str, port: int, command: Sequence[str | Path], own: Mapping[str, str]) -> None:
            servers[name] = Contender(
                port, stack.enter_context(started(command, own, core, folder / f"{name}.log"))
            )
            asyncio.run(listening(port, servers[name].process))

        port = free_port()
        serve = module("farmlokal", "serve", "--port", str(port), "--workers", str(workers))
        start("ours", port, serve, settings)
        express = _installed_express()
        for name, limit in (("express", MANY), ("express, no limit", 0)):
            port = free_port()
            own = environment(folder) | {
                "DATABASE_URL": filled.url.replace("mariadb://", "mysql://"),
                "REDIS_URL": valkey.url_at(valkey.port, 1),
                "PORT": str(port),
                "RATE_LIMIT": str(limit),
                "WORKERS": str(workers),
                "NODE_ENV": "production",
            }
            start(name, port, ["node", express], own)
        port = free_port()
        start("nginx", port, nginx.command(folder / "nginx", port, workers), environment(folder))
        cache = redis.Redis.from_url(valkey.url_at(valkey.port, 1))
        files = nginx.Files(folder / "nginx")
        yield Field(servers, filled, files, cache, settings, credentials, folder, core)


@contextmanager
def bare(of: Field, pages: int, statements: Sequence[str]) -> Iterator[Bare]:
    """The bare client with the statements of so many pages."""
    path = of.folder / "statements"
    path.write_bytes(pickle.dumps((pages, list(statements))))
    words = ("127.0.0.1", str(of.catalogue.server.port), USER, PASSWORD, of.catalogue.database, str(path))
    pinned = ["taskset", "-c", str(of.core)] if of.core is not None and shutil.which("taskset") else []
    process = subprocess.Popen(
        [*pinned, *module("bench.bare", *words)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Bare(process)
    finally:
        process.kill()
        process.wait()


def _installed_express() -> Path:
    """The baseline's program beside its packages, which npm fetches once, as locked, into the cache."""
    if shutil.which("npm") is None:
        raise Missing("no npm on this machine, so no Express to compare with: install Node 20")
    lock = (BASELINE / "package-lock.json").read_bytes()
    folder = cache_folder(f"express-{blake2b(lock, digest_size=8).hexdigest()}")
    with one_at_a_time(folder):
        if not (folder / "installed").exists():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(BASELINE / name, folder / name)
            subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
                cwd=folder,
                check=True,
                timeout=NPM_S,
            )
            (folder / "installed").touch()
        shutil.copy(BASELINE / "server.js", folder / "server.js")
    return folder / "server.js"
