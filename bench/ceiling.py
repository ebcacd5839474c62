"""The ceiling of our stack: the same bytes from a dictionary, under the same server with the same settings.

    python -m bench.ceiling PORT ANSWERS

ANSWERS is a pickle of {target: (headers, body)}, as the bench took them from the application.
"""

import pickle
import sys
from functools import partial
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces, Loops
from starlette.types import ASGIApp, Receive, Scope, Send

Answers = dict[bytes, tuple[list[tuple[bytes, bytes]], bytes]]


def main() -> None:
    port, answers = int(sys.argv[1]), Path(sys.argv[2])
    server = Granian(
        "bench.ceiling",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        workers=1,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
    )
    server.serve(target_loader=partial(_load, answers), wrap_loader=False)


def _load(path: Path) -> ASGIApp:
    answers: Answers = pickle.loads(path.read_bytes())

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers, body = answers[scope["raw_path"] + b"?" + scope["query_string"]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


if __name__ == "__main__":
    main()
