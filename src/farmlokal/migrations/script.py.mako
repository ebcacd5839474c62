"""${message}

Revision: ${up_revision}
"""

import sqlalchemy as sa
from alembic import op

from farmlokal.migrations import types as t

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ...
