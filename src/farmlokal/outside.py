"""The outside world on one machine: the command that simulates it, and the simulator that `dev` starts beside
its server."""

import asyncio
from pathlib import Path

import click


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on; it obeys whoever reaches it.")
@click.option("--port", type=click.IntRange(1, 65535), default=3001, help="Port to listen on.")
@click.option("--beside", type=int, hidden=True, help="End when the parent is not this process any more.")
@click.option(
    "--pages",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of suppliers' pages (JSON) to serve in place of generated ones.",
)
@click.option("--open", "to_anyone", is_flag=True, help="Show products without a token, too.")
def simulator(host: str, port: int, beside: int | None, pages: Path | None, *, to_anyone: bool) -> None:
    """Simulate the outside world: a supplier and its OAuth provider, which do wrong on command.

    Its page has switches; `PUT /control/<endpoint>` scripts it, `GET /control` tells what it was asked.
    """
    from farmlokal.suppliers.simulator.process import run

    if beside is None:
        click.echo(f"The simulator listens on http://{host}:{port}; FarmLokal finds it with")
        for name, value in settings_for(port).items():
            click.echo(f"  {name}={value}")
    asyncio.run(run(host, port, beside, pages, to_anyone=to_anyone))


def simulate_beside(near: int, *, supplier: bool, provider: bool) -> dict[str, str]:
    """Start a simulator that ends with this process, on a port near this one, as a supplier, a provider of
    tokens or both; the settings that lead to it."""
    from farmlokal.suppliers.simulator.process import start_beside

    port = start_beside(near, *([] if provider else ["--open"]))  # another's tokens mean nothing to it
    click.echo(f"A simulated supplier listens on http://127.0.0.1:{port}; that page has its switches")
    return (_as_supplier(port) if supplier else {}) | (_as_provider(port) if provider else {})


def settings_for(port: int) -> dict[str, str]:
    """The settings that lead to a simulator on this port."""
    return _as_supplier(port) | _as_provider(port)


def _as_supplier(port: int) -> dict[str, str]:
    base = f"http://127.0.0.1:{port}"
    return {
        "FARMLOKAL_SUPPLIER_URL": f"{base}/products",
        "FARMLOKAL_SUPPLIERS": f"mandi=datagovin:{base}/records,shop=shopify:{base}/products.json",
    }


def _as_provider(port: int) -> dict[str, str]:
    from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET

    return {
        "FARMLOKAL_UPSTREAM_TOKEN_URL": f"http://127.0.0.1:{port}/oauth/token",
        "FARMLOKAL_UPSTREAM_CLIENT_ID": CLIENT_ID,
        "FARMLOKAL_UPSTREAM_CLIENT_SECRET": CLIENT_SECRET,
    }
