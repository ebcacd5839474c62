"""The outside world on one machine: the command that simulates it, and the simulator that `dev` starts beside
its server."""

import asyncio

import click


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3001, help="Port to listen on.")
@click.option("--beside", type=int, hidden=True, help="End when the parent is not this process any more.")
def simulator(port: int, beside: int | None) -> None:
    """Simulate the outside world: an OAuth provider that does wrong on command.

    `PUT /control/token` scripts it, `GET /control` tells what it was asked.
    """
    from farmlokal.suppliers.simulator.process import run

    if beside is None:
        click.echo(f"The simulator listens on http://127.0.0.1:{port}; FarmLokal finds it with")
        for name, value in settings_for(port).items():
            click.echo(f"  {name}={value}")
    asyncio.run(run(port, beside))


def simulate_beside(near: int) -> dict[str, str]:
    """Start a simulator that ends with this process, on a port near this one; the settings that lead to
    it."""
    from farmlokal.suppliers.simulator.process import start_beside

    port = start_beside(near)
    click.echo(f"A simulated OAuth provider listens on http://127.0.0.1:{port}; /control scripts it")
    return settings_for(port)


def settings_for(port: int) -> dict[str, str]:
    """The settings that lead to a simulator on this port."""
    from farmlokal.suppliers.simulator import CLIENT_ID, CLIENT_SECRET

    return {
        "FARMLOKAL_UPSTREAM_TOKEN_URL": f"http://127.0.0.1:{port}/oauth/token",
        "FARMLOKAL_UPSTREAM_CLIENT_ID": CLIENT_ID,
        "FARMLOKAL_UPSTREAM_CLIENT_SECRET": CLIENT_SECRET,
    }
