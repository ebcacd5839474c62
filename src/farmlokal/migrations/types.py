"""Column types that mean the same on SQLite and on MySQL/MariaDB.

On SQLite the tables are STRICT, so a type is kept as declared; on MySQL text is utf8mb4 compared by byte.
"""

from typing import Any

from sqlalchemy import BigInteger, Integer, LargeBinary, String, Text
from sqlalchemy.dialects.mysql import LONGTEXT, MEDIUMBLOB, VARBINARY, VARCHAR
from sqlalchemy.types import TypeEngine

MYSQL = ("mysql", "mariadb")

TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
    "sqlite_strict": True,
}


def integer() -> TypeEngine[int]:
    """A signed 64-bit integer: ids, paise, thousandths, microseconds."""
    return BigInteger().with_variant(Integer(), "sqlite")


def text(length: int) -> TypeEngine[str]:
    """Text for people, at most `length` characters."""
    return String(length).with_variant(Text(), "sqlite").with_variant(VARCHAR(length), *MYSQL)


def long_text() -> TypeEngine[str]:
    """Text without a bound of its own; whoever writes it states one."""
    return Text().with_variant(LONGTEXT(), *MYSQL)


def opaque(length: int) -> TypeEngine[str]:
    """A key of somebody else's: compared by byte, never folded, trailing spaces count."""
    return String(length).with_variant(Text(), "sqlite").with_variant(VARBINARY(length), *MYSQL)


def binary(length: int) -> TypeEngine[bytes]:
    """Bytes compared as bytes: sort keys and digests."""
    return LargeBinary(length).with_variant(VARBINARY(length), *MYSQL)


def long_binary() -> TypeEngine[bytes]:
    """Bytes without a bound of their own (16 MB on MySQL); whoever writes them states one."""
    return LargeBinary().with_variant(MEDIUMBLOB(), *MYSQL)


def day() -> TypeEngine[str]:
    """A date as its ISO text ``2026-11-20``."""
    return text(10)
