"""The pages as HTML, whatever is put into them escaped; scripts and styles are files beside this one."""

from html import escape
from importlib.resources import files

from farmlokal.ops.alerts import TEXTS
from farmlokal.ops.dashboard.sessions import Session

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

ASSETS = {
    name: (kind, (files(__package__) / "assets" / name).read_bytes())
    for name, kind in (
        ("ops.js", "text/javascript"),
        ("draw.js", "text/javascript"),
        ("ops.css", "text/css"),
    )
}
"""By name: the media type, and the bytes."""

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/ops/assets/ops.css">
"""

_LOGIN = """<main class="login">
<h1>FarmLokal operations</h1>
{refusal}
<form method="post" action="/ops/login">
<label for="client_id">Client id</label>
<input id="client_id" name="client_id" required autocomplete="username" spellcheck="false" autofocus>
<label for="client_secret">Client secret</label>
<input id="client_secret" name="client_secret" type="password" required autocomplete="current-password">
<button>Log in</button>
</form>
<p class="hint">A client with the scope <code>ops:read</code>:
<code>farmlokal clients create ops --scope "ops:read orders:repair suppliers:sync"</code></p>
</main>
</html>
"""

_DASHBOARD = """<script type="module" src="/ops/assets/ops.js"></script>
<body data-csrf="{csrf}" data-scopes="{scopes}">
<header>
<h1>FarmLokal operations</h1>
<p id="about" class="hint"></p>
{leave}
</header>
<main>
<noscript><p>This page needs JavaScript; <a href="/metrics">/metrics</a> does without.</p></noscript>
<section aria-labelledby="alerts-title">
<h2 id="alerts-title">Alerts</h2>
<div id="alerts" role="status" aria-live="polite"><p class="calm">Waiting for the first numbers.</p></div>
<p id="away" data-name="FarmLokalAway" role="alert" hidden>{away}</p>
<p id="said" role="status"></p>
</section>
<div class="grid" id="tiles"></div>
<section aria-labelledby="routes-title">
<h2 id="routes-title">Routes</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="routes-title">
<table id="routes"></table>
</div>
</section>
<section aria-labelledby="suppliers-title">
<h2 id="suppliers-title">Suppliers</h2>
<div id="suppliers"></div>
</section>
<section aria-labelledby="letters-title">
<h2 id="letters-title">Dead letters</h2>
<div id="letters"></div>
</section>
<section id="outside" aria-labelledby="outside-title" hidden>
<h2 id="outside-title">Pull a plug</h2>
<p class="hint">The supplier is simulated, on this machine: what is chosen holds from the next request on.</p>
<div id="switches" class="row"></div>
</section>
</main>
</body>
</html>
"""

_LEAVE = """<form method="post" action="/ops/logout"><input type="hidden" name="csrf" value="{csrf}">
<span>{client}</span> <button>Log out</button></form>"""

_ENTER = '<a class="enter" href="/ops/login">Log in</a>'
"""For whoever may look without: the buttons need it."""

REFUSED = "The client is not known, its secret is wrong, or it may not look here."
"""One refusal, whatever was wrong: it tells nobody which clients there are."""


def login(*, refused: bool) -> str:
    """The page to log in."""
    refusal = f'<p class="bad" role="alert">{REFUSED}</p>' if refused else ""
    return _HEAD.format(title="Log in · FarmLokal operations") + _LOGIN.format(refusal=refusal)


def dashboard(session: Session) -> str:
    """The page itself: an empty frame, which the script fills."""
    csrf, client = escape(session.csrf), escape(session.client_id)
    leave = _LEAVE.format(csrf=csrf, client=client) if session.client_id else _ENTER
    body = _DASHBOARD.format(
        csrf=csrf,
        scopes=escape(" ".join(sorted(session.scopes))),
        leave=leave,
        away=escape(TEXTS["FarmLokalAway"]),
    )
    return _HEAD.format(title="FarmLokal operations") + body
