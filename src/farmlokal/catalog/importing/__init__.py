"""Files of products, prices and places into the catalogue: one module a format, told apart by content."""
