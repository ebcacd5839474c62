"""The outside world on one machine: a supplier and its OAuth provider, over real HTTP, which do wrong on
command.

Tests start it within their process, `farmlokal simulator` and `farmlokal dev` as one of its own. The product
never imports it: it is spoken to like any stranger.
"""

from farmlokal.suppliers.simulator.behaviour import Behaviour
from farmlokal.suppliers.simulator.faults import FAULTS
from farmlokal.suppliers.simulator.provider import CLIENT_ID, CLIENT_SECRET, OAuthProvider
from farmlokal.suppliers.simulator.server import Simulator

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "FAULTS", "Behaviour", "OAuthProvider", "Simulator"]
