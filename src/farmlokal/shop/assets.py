"""The files of the pages, under names that change with their content: a browser keeps them for a year."""

from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

from farmlokal.errors import NotFound
from farmlokal.platform.web.content import Content

FOLDER = Path(str(files("farmlokal.shop")))

MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

BELOW = "/shop/"
"""The path of these files."""

FOREVER = "public, max-age=31536000, immutable"


class Assets:
    """What lies in `static/`, read once."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._contents: dict[str, Content] = {}
        self._names: dict[str, str] = {}
        release = blake2b(digest_size=8)
        for path in sorted([*(folder / "static").iterdir(), *(folder / "templates").iterdir()]):
            if not path.is_file():
                continue
            body = path.read_bytes()
            release.update(body)
            if path.suffix in MEDIA_TYPES:
                content = Content(body)
                named = f"{path.stem}.{content.tag[:12]}{path.suffix}"
                self._contents[named], self._names[path.name] = content, named
        self.release = release.digest()
        """Names the content of all files and templates: what another release makes differs in it."""

    def path(self, name: str) -> str:
        """Where a page finds a file: ``/shop/shop.0123456789ab.css`` for ``shop.css``."""
        return BELOW + self._names[name]

    def content(self, named: str) -> tuple[Content, str]:
        """The file of a versioned name, and its media type. Raises `NotFound`."""
        if named not in self._contents:
            raise NotFound("There is no file of this name.")
        return self._contents[named], MEDIA_TYPES[Path(named).suffix]
