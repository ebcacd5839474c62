"""What an operator decides, read once at start: only `cli` and `app` import it, and hand the values on."""

from farmlokal.settings.addresses import MaskedUrl, SupplierSource
from farmlokal.settings.model import Settings, SettingsError
from farmlokal.settings.table import DEVELOPMENT_SECRET_KEY
from farmlokal.settings.values import RateLimit, WebhookSource

__all__ = [
    "DEVELOPMENT_SECRET_KEY",
    "MaskedUrl",
    "RateLimit",
    "Settings",
    "SettingsError",
    "SupplierSource",
    "WebhookSource",
]
