"""The proxy delays, holds, loses and cuts exactly what it is told to, while it runs."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pymysql
import pytest
import redis

from tests.faults.processes import wait_until
from tests.faults.proxy import Proxy
from tests.support.servers.mariadb import MariaDb
from tests.support.servers.sql import connect
from tests.support.servers.valkey import NO_RETRY, Valkey


@contextmanager
def _echo() -> Iterator[int]:
    """A server that says back whatever it is told; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(connection: socket.socket) -> None:
            with connection:
                try:
                    while data := connection.recv(65_536):
                        connection.sendall(data)
                except ConnectionError:
                    pass

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before an echo."""
    with _echo() as port, Proxy(port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection through the proxy, on which an answer is awaited for at most 0.3 s."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as connection:
        assert _said(connection, b"hello") == b"hello"
        yield connection


def _said(connection: socket.socket, words: bytes) -> bytes:
    """What comes back first."""
    connection.sendall(words)
    return connection.recv(65_536)


def test_bytes_pass_unchanged_and_are_counted(proxy: Proxy, client: socket.socket) -> None:
    """Without a fault everything passes, however much, and the end of a stream passes too."""
    sent = bytes(range(256)) * 40_000

    def send() -> None:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)

    threading.Thread(target=send).start()
    received = b"".join(iter(lambda: client.recv(1 << 20), b""))
    assert received == sent
    assert proxy.bytes_to_server == proxy.bytes_to_client == len(sent) + len(b"hello")
    wait_until(lambda: proxy.open_connections == 0, "the connection is over")
    assert proxy.accepted == 1


def test_latency_is_that_of_a_wire(proxy: Proxy, client: socket.socket) -> None:
    """Bytes are late by the sum of both ways, and messages that follow each other are under way together."""
    proxy.delay(to_server_s=0.05, to_client_s=0.1)
    client.settimeout(5)
    start = time.monotonic()
    for _ in range(40):
        client.sendall(b"x")
    received = 0
    while received < 40:
        received += len(client.recv(40))
    assert 0.15 <= time.monotonic() - start < 3, "one after the other: 6 s"
    proxy.delay()
    assert _said(client, b"y") == b"y"


def test_held_bytes_arrive_when_they_are_released(proxy: Proxy, client: socket.socket) -> None:
    """In a black hole connections open and nobody answers; afterwards nothing was lost."""
    proxy.hold()
    with pytest.raises(TimeoutError):
        _said(client, b"held")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as other:
        with pytest.raises(TimeoutError):
            _said(other, b"too")
        proxy.release()
        assert other.recv(100) == b"too"
    assert client.recv(100) == b"held"


def test_new_connections_are_refused_and_old_ones_live(proxy: Proxy, client: socket.socket) -> None:
    """Refusing is for those who come; the port is the same afterwards."""
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), timeout=1)
    assert _said(client, b"still here") == b"still here"
    proxy.accept()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as other:
        assert _said(other, b"back") == b"back"


def test_a_cut_is_an_end_or_a_reset(proxy: Proxy, client: socket.socket) -> None:
    """A connection is closed in order or reset, also while it is held."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as other:
        assert _said(other, b"two") == b"two"
        assert proxy.cut() == 2
        assert (client.recv(100), other.recv(100)) == (b"", b"")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as other:
        assert _said(other, b"three") == b"three"
        proxy.hold()
        other.sendall(b"never delivered")
        assert proxy.cut(reset=True) == 1
        with pytest.raises(ConnectionResetError):
            other.recv(100)


def test_one_reply_is_lost(proxy: Proxy, client: socket.socket) -> None:
    """The n-th reply never comes, and the connection lives on."""
    proxy.lose_reply(2)
    assert _said(client, b"one") == b"one"
    with pytest.raises(TimeoutError):
        _said(client, b"two")
    assert _said(client, b"three") == b"three"


def test_traps_spring_once(proxy: Proxy, client: socket.socket) -> None:
    """The pattern cuts one connection, also when it comes in pieces, and the next may say it again."""
    trap = proxy.cut_after(b"COMMIT")
    assert _said(client, b"xCOM") == b"xCOM"
    assert not trap.sprung
    assert _said(client, b"MIT") == b""
    trap.wait()
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as other:
        assert _said(other, b"COMMIT") == b"COMMIT"
        before = proxy.bytes_to_server
        proxy.cut_before(b"COMMIT", reset=True)
        with pytest.raises(ConnectionResetError):
            _said(other, b"COMMIT")
        assert proxy.bytes_to_server == before


def test_nobody_listens_behind_it() -> None:
    """Where the server is gone, the client's connection is reset."""
    with _echo() as port:
        pass
    with (
        Proxy(port) as proxy,
        # The reset may come while the connection is still being made.
        pytest.raises(ConnectionResetError),
        socket.create_connection(("127.0.0.1", proxy.port), timeout=1) as client,
    ):
        client.recv(1)


@pytest.mark.parametrize("done", [True, False])
def test_a_commit_whose_answer_is_lost(mariadb_server: MariaDb, done: bool) -> None:
    """Cut before or after COMMIT reached MariaDB, the client sees the same; only the database knows."""
    name = mariadb_server.new_database().name
    mariadb_server.administer(f"CREATE TABLE {name}.t (id INT PRIMARY KEY)")
    with Proxy(mariadb_server.port) as proxy:
        with closing(connect(proxy.port, name)) as connection, connection.cursor() as cursor:
            trap = proxy.cut_after(b"COMMIT") if done else proxy.cut_before(b"COMMIT")
            cursor.execute("START TRANSACTION")
            cursor.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(pymysql.err.OperationalError) as lost:
                cursor.execute("COMMIT")
            assert lost.value.args[0] == 2013
            assert trap.sprung
        with closing(connect(proxy.port, name)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM t")
            assert cursor.fetchall() == ((int(done),),)


def test_valkey_behind_a_slow_and_a_dead_network(valkey: Valkey) -> None:
    """A client of Valkey meets latency, silence and resets."""
    with (
        Proxy(valkey.port) as proxy,
        redis.Redis(port=proxy.port, socket_timeout=0.3, retry=NO_RETRY) as client,
    ):
        client.set("a", 1)
        proxy.hold()
        with pytest.raises(redis.TimeoutError):
            client.get("a")
        proxy.release()
        assert client.get("a") == b"1"
        trap = proxy.cut_after(b"INCR", reset=True)
        with pytest.raises(redis.ConnectionError):
            client.incr("a")
        trap.wait()
        proxy.delay(to_client_s=0.02)
        start = time.monotonic()
        assert client.get("a") == b"2"
        assert time.monotonic() - start >= 0.02
