"""nginx, which serves files and nothing else: the ceiling of what is answered from memory.

The machine's own, or its distribution's package unpacked into the cache: nothing is installed. It runs as
whoever runs the bench, on a port and in a folder of its own, tuned for what it is asked here: no log, files
kept open, one worker for each of ours.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from shutil import which

from tests.support.servers.packages import unpacked

CONFIGURATION = """
daemon off;
{user}
worker_processes {workers};
pid {folder}/pid;
error_log {folder}/errors.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  default_type application/json;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=20000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


def command(folder: Path, port: int, workers: int) -> Sequence[str | Path]:
    """The command line of one that serves `folder`/files. Raises `Missing` where it cannot be had."""
    own = which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    program: Sequence[str | Path] = [own] if own else unpacked("nginx", ["nginx"]).command("usr/sbin/nginx")
    (folder / "files").mkdir(parents=True)
    user = "user root root;" if os.geteuid() == 0 else ""  # else its workers could not read our folder
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, workers=workers, user=user))
    return [*program, "-p", folder, "-e", folder / "errors.log", "-c", configuration]


class Files:
    """What it serves: bodies by a number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "files"
        self._targets: dict[bytes, str] = {}

    def target(self, body: bytes) -> str:
        """Where this body is served from now on."""
        if body not in self._targets:
            name = f"{len(self._targets)}.json"
            (self._folder / name).write_bytes(body)
            self._targets[body] = f"/{name}"
        return self._targets[body]
