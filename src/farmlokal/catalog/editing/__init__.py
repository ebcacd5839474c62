"""The catalogue changed through the API: one product, one seller, or many lines at once."""
