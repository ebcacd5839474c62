"""Load on a running server, as a shop day brings it: arrivals that wait for nobody, and what came of each.

Nothing that serves imports this.
"""

from farmlokal.loadtest.goals import Goal, parse_goal
from farmlokal.loadtest.report import page, text
from farmlokal.loadtest.run import Plan, run
from farmlokal.loadtest.scenarios import Credentials, parse_mix
from farmlokal.loadtest.tally import Tally

__all__ = ["Credentials", "Goal", "Plan", "Tally", "page", "parse_goal", "parse_mix", "run", "text"]
