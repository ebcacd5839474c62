"""The shop in a browser. A package, so that the browser is closed when the last of these tests has ended."""
