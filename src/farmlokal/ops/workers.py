"""The numbers of all workers of one server, whichever of them is asked.

Each worker writes its own into a file of a folder that the parent has made, once a second; who is asked adds
what the others wrote last to what it knows itself. A worker that has ended keeps what it has counted: sums
must not go down when one is replaced.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from farmlokal.platform.exposition import Family, merged, without_gauges

EVERY_S = 1.0
"""Pause between two writings: how old the others' numbers are at most."""

FILES = 256
"""Most files that are read: workers, and those that they have replaced."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Family])


class Workers:
    """Of one worker. Without a `folder` it is the only one."""

    def __init__(self, folder: Path | None, own: Callable[[], Sequence[Family]]) -> None:
        self._folder = folder
        self._own = own
        self._file = None if folder is None else folder / f"{os.getpid()}.numbers"
        self._writing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Write from now on."""
        if self._file is not None:
            self._write(self._file)
            self._writing = asyncio.create_task(self._keep_writing(self._file), name="worker-numbers")

    async def close(self) -> None:
        """Write for the last time."""
        if self._writing is not None and self._file is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._write(self._file)

    def families(self) -> list[Family]:
        """The numbers of all."""
        return merged([self._own(), *self._others()])

    def _others(self) -> list[list[Family]]:
        if self._folder is None:
            return []
        found = []
        for file in sorted(self._folder.glob("*.numbers"))[:FILES]:
            if file == self._file:
                continue
            families = _decoder.decode(file.read_bytes())
            found.append(families if _lives(int(file.stem)) else without_gauges(families))
        return found

    async def _keep_writing(self, file: Path) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            self._write(file)

    def _write(self, file: Path) -> None:
        new = file.with_suffix(".new")
        new.write_bytes(_encoder.encode(self._own()))
        new.replace(file)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True
