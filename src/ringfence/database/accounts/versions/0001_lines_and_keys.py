"""Lines of logs that can only be appended, each to the one before it; and API keys.

The database chains the lines itself: whoever may insert can neither leave one out nor fork the log, and nobody but the
owner of the table can change one.
"""

from alembic import op

revision, down_revision = "0001", None

_STATEMENTS = (
    """
    CREATE TABLE line (
        log text COLLATE "C" NOT NULL,
        number bigint NOT NULL CHECK (number >= 0),
        previous text COLLATE "C" NOT NULL,
        digest text COLLATE "C" NOT NULL,
        line text COLLATE "C" NOT NULL,
        PRIMARY KEY (log, number),
        UNIQUE (log, previous)
    )
    """,
    # The lock makes writers wait for one another, so that the second one sees the first one's line.
    """
    CREATE FUNCTION chain_line() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        last accounts.line%ROWTYPE;
    BEGIN
        PERFORM pg_advisory_xact_lock(1380338767, hashtext(NEW.log));
        SELECT * INTO last FROM accounts.line WHERE log = NEW.log ORDER BY number DESC LIMIT 1;
        IF NEW.number <> coalesce(last.number + 1, 0) OR NEW.previous <> coalesce(last.digest, repeat('0', 64)) THEN
            RAISE EXCEPTION 'line % of log % does not follow line %', NEW.number, NEW.log, last.number
                USING ERRCODE = 'RF001';
        END IF;
        NEW.digest := encode(sha256(convert_to('ringfence custody log' || NEW.line, 'UTF8')), 'hex');
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER chained BEFORE INSERT ON line FOR EACH ROW EXECUTE FUNCTION chain_line()",
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'lines of logs are appended, and neither changed nor deleted' USING ERRCODE = 'RF002';
    END $$
    """,
    "CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON line FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER kept_whole BEFORE TRUNCATE ON line FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    """
    CREATE TABLE api_key (
        place bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" PRIMARY KEY,
        record text COLLATE "C" NOT NULL
    )
    """,
    # One row: who changes keys locks it, who reads them sees by it whether they have changed.
    "CREATE TABLE api_key_version (id integer PRIMARY KEY CHECK (id = 1), version bigint NOT NULL)",
    "INSERT INTO api_key_version VALUES (1, 0)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
