"""Databases: connections, transactions and time limits. SQL itself belongs to the features.

The differences between engines live here, in `catalog/fulltext.py` and in `migrations/`, nowhere else.
"""
