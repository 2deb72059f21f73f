"""The roles of one exchange's database: whoever takes one process's password gets that process's rights.

| role     | may                                                                                     |
|----------|-----------------------------------------------------------------------------------------|
| history  | read, add and change rows of the history                                                |
| reader   | read the history; statements end after 5 s unless it asks for more                      |
| accounts | read and append lines of logs; read, make and change API keys                           |
| gateway  | read the history and API keys, as the reader does                                       |

None of them may make or drop a table; the owner, who may, is needed for migrations alone.
"""

import secrets

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from ringfence.database.addresses import Addresses, Purpose
from ringfence.database.engines import parse

_READERS_MS = 5_000
_READS = (
    "GRANT USAGE ON SCHEMA history TO {0}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA history TO {0}",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA history GRANT SELECT ON TABLES TO {0}",
)
_RIGHTS = {
    Purpose.HISTORY: (
        *_READS, "GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA history TO {0}",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA history GRANT INSERT, UPDATE ON TABLES TO {0}",
        "REVOKE INSERT, UPDATE ON history.migration FROM {0}", "GRANT TEMPORARY ON DATABASE {1} TO {0}",
    ),
    Purpose.READER: _READS,
    Purpose.ACCOUNTS: (
        "GRANT USAGE ON SCHEMA accounts TO {0}", "GRANT SELECT, INSERT ON accounts.line TO {0}",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON accounts.api_key TO {0}",
        "GRANT SELECT, UPDATE ON accounts.api_key_version TO {0}", "GRANT SELECT ON accounts.migration TO {0}",
    ),
    Purpose.GATEWAY: (
        *_READS, "GRANT USAGE ON SCHEMA accounts TO {0}",
        "GRANT SELECT ON accounts.api_key, accounts.api_key_version TO {0}",
    ),
}  # fmt: skip
"""What each may. {0} is the role, {1} the database. Tables that a later migration makes are readable by default."""
_READ_ONLY = (Purpose.READER, Purpose.GATEWAY)


def make_roles(owner_url: str) -> Addresses:
    """Make the roles of a migrated database, or give those that are there new passwords; return all addresses.

    A role is called after the database. The server gets no password, but what SCRAM makes of it.
    Raises psycopg.Error: then nothing has changed.
    """
    owner = parse(owner_url)
    database = owner.database or ""
    urls = {Purpose.OWNER.value: owner.render_as_string(hide_password=False)}
    plain = make_url(owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        name_of_database = sql.Identifier(database)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name_of_database))
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for purpose, rights in _RIGHTS.items():
            role, password = f"{database}_{purpose.value}", secrets.token_urlsafe(32)
            _make_role(connection, role, password)
            name = sql.Identifier(role)
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {1} TO {0}").format(name, name_of_database))
            for right in rights:
                connection.execute(sql.SQL(right).format(name, name_of_database))
            if purpose in _READ_ONLY:
                for setting in (f"statement_timeout = {_READERS_MS}", "default_transaction_read_only = on"):
                    connection.execute(sql.SQL("ALTER ROLE {} SET " + setting).format(name))
            urls[purpose.value] = owner.set(username=role, password=password).render_as_string(
                hide_password=False
            )
    return Addresses(urls)


def _make_role(connection: "psycopg.Connection[tuple[object, ...]]", role: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    # A new role may do nothing by itself; who owns a database without being a superuser may not even say so.
    statement = "{} ROLE {} LOGIN PASSWORD {}"
    connection.execute(
        sql.SQL(statement).format(
            sql.SQL("ALTER" if known else "CREATE"), sql.Identifier(role), sql.Literal(verifier)
        )
    )
    if known:
        connection.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(sql.Identifier(role)))
