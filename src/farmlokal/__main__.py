"""`python -m farmlokal` is `farmlokal`."""

from farmlokal.cli import main

main()
