"""How the service is doing: liveness, readiness, metrics, and the pages that describe the API."""
