"""Templates to HTML. The one file that knows the template library, which is loaded when a page is first asked
for: it takes 4 MB and a quarter of a second, and a process that serves the API alone needs neither."""

import asyncio
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


class Templates:
    """The templates of a folder. Every value is escaped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def render(self, name: str, values: dict[str, Any]) -> bytes:
        """The page in UTF-8."""
        if "_environment" not in self.__dict__:
            # In a thread, for the requests that are under way meanwhile.
            await asyncio.to_thread(lambda: self._environment.list_templates())
        return self._environment.get_template(name).render(values).encode()

    @cached_property
    def _environment(self) -> "Environment":
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        return Environment(
            loader=FileSystemLoader(self._folder),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
