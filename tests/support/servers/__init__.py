"""Private real servers: on free ports of the loopback, with data in folders of their own, stopped by id.

Tests get them from the fixtures of `tests/support/engines.py`; benches enter them as context managers.
"""
