"""What the API document says of writes beside their types: headers, and bodies that work as they stand."""

KEY_BYTES = 200
"""Longest Idempotency-Key; a UUID has 36."""

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the copy that the change is meant for.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same for each try of one request, another for each request; remembered for a day.",
    "schema": {"type": "string", "maxLength": KEY_BYTES},
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
PRODUCT_EXAMPLE = {
    "sellerId": 1,
    "name": "Nendran banana",
    "names": {"ml": "നേന്ത്രപ്പഴം"},
    "category": "Fruits",
    "price": "36.00",
    "pack": {"value": "0.5", "unit": "kg"},
    "stock": {"available": "48.5"},
    "organic": True,
    "harvestedOn": "2026-11-20",
}
SELLER_EXAMPLE = {
    "kind": "farm",
    "name": "Thrissur Growers",
    "district": "Thrissur",
    "state": "Kerala",
    "postcode": "680001",
    "location": {"latitude": "10.52", "longitude": "76.21"},
}
BULK_EXAMPLE = (
    '{"sellerId": 1, "name": "Okra", "category": "Vegetables", "price": "40.00"}\n'
    '{"id": 1, "price": "38.00"}\n'
    '{"id": 2, "delete": true}\n'
)
BULK = (
    "NDJSON: a line without `id` is a new product, one with it a merge patch (with `version` only of that"
    ' version), `{"id": 7, "delete": true}` a deletion. Each line gets a line: its number, its status, and'
    " the id and version or what is wrong. Lines are done in order, whatever became of others. Sent again"
    " with its key and body it goes on where it was cut off, and answers what it answered."
)
