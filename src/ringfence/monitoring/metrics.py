"""Every metric there is, once: dashboards, alert rules, `ringfence top` and docs/reference/metrics.md know no others.

Names follow Prometheus: base units (seconds, bytes), `_total` for what only grows. A name is for ever: what changes
its meaning gets another one. Every sample also has the label `process`.
"""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    COUNTER = "counter"
    """Grows; begins at 0 with each start of its process."""
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    name: str
    kind: Kind
    unit: str
    """A base unit, or what is counted."""
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without the last, which is infinite."""


METRICS: dict[str, Metric] = {}


def _metric(
    name: str, kind: Kind, unit: str, help_: str, *labels: str, buckets: tuple[float, ...] = ()
) -> Metric:
    made = Metric(f"ringfence_{name}", kind, unit, labels, help_, buckets)
    assert made.name not in METRICS
    METRICS[made.name] = made
    return made


def _counter(name: str, unit: str, help_: str, *labels: str) -> Metric:
    assert name.endswith("_total")
    return _metric(name, Kind.COUNTER, unit, help_, *labels)


def _gauge(name: str, unit: str, help_: str, *labels: str) -> Metric:
    return _metric(name, Kind.GAUGE, unit, help_, *labels)


def _seconds(name: str, help_: str, *labels: str) -> Metric:
    assert name.endswith("_seconds")
    return _metric(name, Kind.HISTOGRAM, "seconds", help_, *labels, buckets=SECONDS_BUCKETS)


SECONDS_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""The objectives for an acknowledgement, 5, 25 and 100 ms, are bounds, so that they can be read off exactly."""
SLOTS_BUCKETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0)

# ---- every process

READY = _gauge("ready", "0 or 1", "Whether the process may take traffic: caught up, connected, not fenced.")
MEMORY = _gauge("process_resident_memory_bytes", "bytes", "Memory of the process that is in RAM.")
CPU = _counter("process_cpu_seconds_total", "seconds", "Processor time that the process has used.")
START = _gauge("process_start_time_seconds", "seconds", "When the process began to serve, since 1970.")
FILES = _gauge("process_open_files", "files", "Files and connections that the process has open.")

# ---- the machine and the supervisor's list, by the gatherer

UP = _gauge("process_up", "0 or 1", "Whether a process that ought to run answers; `name` says which.", "name")
RESTARTS = _counter("process_restarts_total", "restarts", "How often a process was started again.", "name")
DISK_FREE = _gauge("disk_free_bytes", "bytes", "Room that is left where the journal lies.")
DISK_SIZE = _gauge("disk_size_bytes", "bytes", "Room that there is where the journal lies.")
MEMORY_FREE = _gauge("host_memory_available_bytes", "bytes", "Memory that the machine can still give.")
CLOCK_ERROR = _gauge(
    "host_clock_error_seconds", "seconds", "The kernel's own bound of how wrong its clock is; 16 s or more = never set."
)  # fmt: skip

# ---- core

COMMANDS = _counter("commands_total", "slots", "Command slots that are durable and published.")
EVENTS = _counter("events_total", "events", "Events that followed from them.")
BATCHES = _counter("batches_total", "batches", "Batches that are durable and published.")
BATCH_SIZE = _metric(
    "batch_slots", Kind.HISTOGRAM, "slots", "Slots of a batch.", buckets=SLOTS_BUCKETS
)  # fmt: skip
QUEUE_SLOTS = _gauge("queue_slots", "slots", "Slots that wait for a batch.")
QUEUE_AGE = _gauge(
    "queue_age_seconds", "seconds", "How long the queue has not been empty: no slot waits longer."
)
QUEUE_WAIT = _seconds("queue_wait_seconds", "How long the first of a batch had waited in the queue.")
STEP = _seconds("engine_step_seconds", "How long the engine took for a batch.")
APPLY = _seconds(
    "batch_apply_seconds", "From a batch taken out of the queue until it is durable and published."
)
SYNC = _seconds("journal_sync_seconds", "From a frame handed to the journal until it is on the disk.")
SEQUENCE = _gauge("sequence", "sequence", "Everything below it is durable (core) or was taken (readers).")
EPOCH = _gauge("core_epoch", "number", "How often the leadership has changed; 0 = a core alone.")
ROLE = _gauge("core_role", "0 or 1", "1 for the role that the core has.", "role")
STREAM_BEHIND = _gauge(
    "stream_behind_entries", "entries", "Entries of the stream that a follower has not taken."
)
LEADER_SILENT = _gauge("leader_silent_seconds", "seconds", "Since a follower has heard of the leader.")
SNAPSHOT_AGE = _gauge("snapshot_age_seconds", "seconds", "Since the newest snapshot was written.")
SNAPSHOT_LAG = _gauge(
    "snapshot_behind_slots", "slots", "Slots that a start would replay after the newest snapshot."
)
SNAPSHOTS_FAILED = _counter("snapshots_failed_total", "snapshots", "Snapshots that were not written.")
ROOT_AGE = _gauge("root_age_seconds", "seconds", "Since the newest state root was signed.")
LINES = _gauge("core_connections", "connections", "Gateways and others that are connected to the core.")
LINES_CUT = _counter(
    "core_connections_cut_total", "connections", "Connections cut off for what is no command."
)

# ---- gateway

REQUESTS = _counter(
    "gateway_requests_total", "requests", "Answers by class of route and HTTP status.", "route", "status"
)
REQUEST_TIME = _seconds("gateway_request_seconds", "From a request read until its answer is sent.", "route")
ROUND_TRIP = _seconds(
    "order_round_trip_seconds", "From a command sent to the core until its outcome is durable."
)
PENDING = _gauge("gateway_pending_commands", "commands", "Commands that await their outcome.")
SHEDS = _counter("gateway_sheds_total", "requests", "Requests that were turned away, by reason.", "reason")
CONNECTIONS = _gauge("gateway_connections", "connections", "Connections of clients.", "kind")
SLOW_CUT = _counter(
    "gateway_slow_consumers_cut_total",
    "connections",
    "Realtime clients that fell too far behind and were cut off.",
)
SOCKET_LAG = _gauge("gateway_realtime_unsent_bytes", "bytes", "The most that waits for one realtime client.")
CORE_CONNECTED = _gauge("core_connected", "0 or 1", "Whether the line to the core stands.")

# ---- history: its lag, and what the views say of risk

LAG = _gauge("feed_lag_slots", "slots", "Slots that the core has published and the process has not taken.")
LAG_SECONDS = _gauge(
    "feed_lag_seconds", "seconds", "Age of the newest batch that was not taken, 0 if there is none."
)
STATE = _gauge("trading_state", "state", "Of the venue: 0 running, 1 cancel only, 2 halted.")
HALTED = _gauge("halts", "halts", "What is not running now, by scope.", "scope")
HALTS = _counter("halts_total", "halts", "Halts that there ever were, not those lifted.")
FUND = _gauge(
    "insurance_fund", "units of the asset", "Wallet of the insurance account, in ledger units.", "asset"
)
ACCOUNTS = _gauge("accounts", "accounts", "Accounts that are open.")
ORDERS = _gauge("open_orders", "orders", "Orders in books, and those that wait for a trigger.")
UNDER_MAINTENANCE = _gauge(
    "accounts_under_maintenance",
    "accounts",
    "Accounts with a position whose backing is below its maintenance margin.",
)
BACKLOG = _gauge(
    "liquidation_backlog", "positions", "Positions taken over by the insurance account and not closed."
)
LIQUIDATIONS = _counter("liquidations_total", "steps", "Steps of liquidations, by step.", "step")
ADL = _counter("deleveraged_total", "positions", "Positions that were closed by auto-deleveraging.")
RISK_AGE = _gauge(
    "margin_computed_age_seconds", "seconds", "Since the margins of all accounts were looked through."
)
BOOK_LEVELS = _gauge("book_levels", "prices", "Prices at which orders rest, by side.", "symbol", "side")
MARK_AGE = _gauge("mark_age_seconds", "seconds", "Since the instrument was last marked or traded.", "symbol")
INDEX_AGE = _gauge("index_age_seconds", "seconds", "Since an index was last published.", "symbol")
SOURCE_AGE = _gauge(
    "index_source_age_seconds", "seconds", "Age of what a constituent said last; 4294967 = it says nothing.",
    "symbol", "source",
)  # fmt: skip
INDEX_FROZEN = _gauge(
    "index_frozen", "0 or 1", "Whether the protections hold an index where it is.", "symbol"
)
ADMIN = _counter("admin_commands_total", "commands", "Commands of operators and judges, by kind.", "kind")

# ---- judges

CHECK_AGE = _gauge(
    "check_age_seconds", "seconds", "Since a check was last made, by law and occasion.", "law", "when"
)
CHECK_LIMIT = _gauge(
    "check_age_limit_seconds", "seconds", "Older than this a check counts as broken.", "law", "when"
)
CHECK_RED = _gauge("check_red", "0 or 1", "Whether a check is broken or stale.", "law", "when")
FINDINGS = _gauge("judge_findings", "findings", "What a judge halts for.")
JUDGE_LAG = _gauge("judge_lag_seconds", "seconds", "How far a judge is behind the newest batch it has read.")
JUDGE_CAUGHT_UP = _gauge("judge_caught_up", "0 or 1", "Whether a judge is as far as the exchange.")
JUDGED_ROOT_AGE = _gauge(
    "judged_root_age_seconds", "seconds", "Since the newest root that a judge has looked at."
)

# ---- prover

MINUTE_AGE = _gauge("proof_minute_age_seconds", "seconds", "Since the newest minute was committed to.")
PROOF_DUE = _gauge(
    "proof_snapshot_overdue_seconds", "seconds", "How long a snapshot is overdue; 0 = none is."
)
PROOF_RED = _gauge("proof_findings", "findings", "What the prover withholds proofs for.")

# ---- custody

CHAIN_HEIGHT = _gauge("chain_height", "blocks", "Block at which a chain is followed.", "chain")
CHAIN_AGE = _gauge(
    "chain_tip_age_seconds", "seconds", "Since a chain that is followed had a new block.", "chain"
)
CHAIN_TROUBLE = _gauge("chain_trouble", "0 or 1", "Whether a chain cannot be worked with.", "chain")
DIFFERENCE = _gauge(
    "reconciliation_difference",
    "units of the asset",
    "Chain less ledger less what explains it; 0 is right.",
    "asset",
)
RECONCILED_AGE = _gauge(
    "reconciliation_age_seconds", "seconds", "Since a chain was held against the ledger.", "asset"
)
REORG = _gauge(
    "chain_deepest_reorg_blocks",
    "blocks",
    "The most blocks that have left a chain at once since the start.",
    "chain",
)
FEE_RATE = _gauge(
    "chain_fee_rate",
    "satoshis per 1,000 vbytes",
    "What the next blocks cost, by the node; 0 = it does not say.",
    "chain",
)
DEPOSITS_UNCREDITED = _gauge(
    "deposits_uncredited",
    "deposits",
    "Deposits that were seen and are not credited yet, dust apart.",
    "chain",
)
POLICY_VERSION = _gauge(
    "policy_version", "number", "Version of the policy in force for an asset of a chain.", "chain", "asset"
)
HOT = _gauge(
    "hot_balance", "units of the asset", "Coins in the hot wallet, in ledger units.", "chain", "asset"
)
HOT_CAP = _gauge(
    "hot_balance_cap", "units of the asset", "The most that the policy allows there.", "chain", "asset"
)
WITHDRAWALS = _gauge("withdrawals_pending", "withdrawals", "Withdrawals under way, by how long.", "age")
WITHDRAWAL_AGE = _gauge("withdrawal_oldest_age_seconds", "seconds", "Age of the oldest withdrawal under way.")
WITHDRAWALS_WAITING = _gauge(
    "withdrawals_waiting", "withdrawals", "Withdrawals that wait for people or time."
)

# ---- people

USERS = _gauge("users", "users", "People who have an account here.")
LOGIN_FAILURES = _counter("login_failures_total", "tries", "Tries to sign in or to confirm that were wrong.")
USER_EVENTS = _counter("user_log_entries_total", "entries", "Lines of the users' log, by kind.", "kind")
AUDIT_HEAD = _gauge(
    "audit_log_entries", "entries", "Lines in the process's hash-chained log: its head's number."
)
AUDIT_BROKEN = _gauge("audit_log_broken", "0 or 1", "Whether a line may not be on the disk.")
MAILS_WAITING = _gauge("mails_waiting", "mails", "Mails that were not given away yet.")
