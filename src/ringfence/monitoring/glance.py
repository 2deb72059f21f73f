"""How an exchange is, at a glance: what `ringfence top` shows and `--json` prints, from two pages of metrics.

The alarms here are the most urgent of the alert rules looked at once more, so that who sits at the console sees them.
"""

from typing import Any, NamedTuple

from ringfence.monitoring import metrics
from ringfence.monitoring.metrics import Metric
from ringfence.monitoring.scrape import Between, Scrape

STATES = {0: "running", 1: "cancel only", 2: "HALTED"}
_QUEUE_OLD_SECONDS, _INDEX_OLD_SECONDS, _LAG_SECONDS, _DISK_SHARE = 1.0, 10.0, 1.0, 0.1
_QUANTILES = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))

Row = dict[str, Any]


class Alarm(NamedTuple):
    severity: str
    what: str


def glance(between: Between) -> Row:
    """Return everything, ready for JSON. Times are seconds, rates are by the second; None = nobody has said it."""
    now = between.now
    return {
        "at": now.at, "seconds": round(between.seconds, 3),
        "alarms": [alarm._asdict() for alarm in alarms(between)],
        "trading": _trading(now), "processes": _processes(between), "core": _core(between),
        "gateways": _gateways(between), "judges": _judges(now), "custody": _custody(now), "host": _host(now),
    }  # fmt: skip


def _trading(now: Scrape) -> Row:
    state = now.value(metrics.STATE)
    return {
        "state": STATES.get(int(state), "unknown") if state is not None else "unknown",
        "halts": {scope: int(count) for scope, count in now.by(metrics.HALTED, "scope").items() if count},
        "haltsEver": now.value(metrics.HALTS), "insuranceFund": now.by(metrics.FUND, "asset"),
        "accounts": now.value(metrics.ACCOUNTS), "openOrders": now.value(metrics.ORDERS),
        "underMaintenance": now.value(metrics.UNDER_MAINTENANCE), "liquidationBacklog": now.value(metrics.BACKLOG),
        "deleveraged": now.value(metrics.ADL),
        "indexAge": max(now.by(metrics.INDEX_AGE, "symbol").values(), default=None),
        "indicesFrozen": sorted(one for one, is_frozen in now.by(metrics.INDEX_FROZEN, "symbol").items() if is_frozen),
        "historyLag": now.value(metrics.LAG_SECONDS),
    }  # fmt: skip


def _processes(between: Between) -> list[Row]:
    now = between.now
    ready, restarts = now.by(metrics.READY, "process"), now.by(metrics.RESTARTS, "name")
    memory, sequence = now.by(metrics.MEMORY, "process"), now.by(metrics.SEQUENCE, "process")
    cpu = between.rates(metrics.CPU, "process")
    return [
        {
            "name": name, "up": bool(up), "ready": bool(ready[name]) if name in ready else None,
            "restarts": int(restarts.get(name, 0)), "memoryBytes": memory.get(name), "cpu": cpu.get(name, 0.0),
            "sequence": int(sequence[name]) if name in sequence else None,
        }
        for name, up in now.by(metrics.UP, "name").items()
    ]  # fmt: skip


def _leader_first(role: str) -> bool:
    return role != "leader"


def _quantiles(between: Between, metric: Metric) -> dict[str, float | None]:
    return {name: between.quantile(metric, share) for name, share in _QUANTILES}


def _core(between: Between) -> Row:
    now = between.now
    roles = [found["role"] for found, value in now.each(metrics.ROLE) if value]
    return {
        "role": min(roles, key=_leader_first, default=None), "machines": len(roles),
        "epoch": max(now.by(metrics.EPOCH, "process").values(), default=None),
        "sequence": now.value(metrics.SEQUENCE, process="core"),
        "commandsPerSecond": between.rate(metrics.COMMANDS), "eventsPerSecond": between.rate(metrics.EVENTS),
        "batchesPerSecond": between.rate(metrics.BATCHES), "queueSlots": now.value(metrics.QUEUE_SLOTS),
        "queueAge": now.value(metrics.QUEUE_AGE), "apply": _quantiles(between, metrics.APPLY),
        "step": _quantiles(between, metrics.STEP), "sync": _quantiles(between, metrics.SYNC),
        "snapshotBehind": now.value(metrics.SNAPSHOT_LAG), "rootAge": now.value(metrics.ROOT_AGE),
    }  # fmt: skip


def _gateways(between: Between) -> Row:
    now = between.now
    return {
        "requestsPerSecond": between.rate(metrics.REQUESTS), "byRoute": between.rates(metrics.REQUESTS, "route"),
        "byStatus": between.rates(metrics.REQUESTS, "status"), "roundTrip": _quantiles(between, metrics.ROUND_TRIP),
        "ordersPerSecond": _count_rate(between, metrics.ROUND_TRIP), "pending": now.total(metrics.PENDING),
        "sheds": {reason: int(count) for reason, count in now.by(metrics.SHEDS, "reason").items()},
        "shedsPerSecond": between.rates(metrics.SHEDS, "reason"),
        "connections": now.by(metrics.CONNECTIONS, "kind"), "slowCut": now.total(metrics.SLOW_CUT),
        "loginFailures": now.total(metrics.LOGIN_FAILURES),
    }  # fmt: skip


def _count_rate(between: Between, metric: Metric) -> float:
    before, now = between.before.total(metric, "_count"), between.now.total(metric, "_count")
    return (now - before if now >= before else now) / between.seconds


def _judges(now: Scrape) -> list[Row]:
    rows = []
    for judge, findings in now.by(metrics.FINDINGS, "process").items():
        ages = [value for _, value in now.each(metrics.CHECK_AGE, process=judge)]
        rows.append({
            "judge": judge, "findings": int(findings), "lag": now.value(metrics.JUDGE_LAG, process=judge),
            "caughtUp": bool(now.value(metrics.JUDGE_CAUGHT_UP, process=judge)), "checks": len(ages),
            "oldestCheck": max(ages, default=None), "rootAge": now.value(metrics.JUDGED_ROOT_AGE, process=judge),
            "red": sorted({found["law"] for found, red in now.each(metrics.CHECK_RED, process=judge) if red}),
        })  # fmt: skip
    return rows


def laws_of(now: Scrape) -> list[Row]:
    """Return every law with its checks, for the pane of judges."""
    laws: dict[str, Row] = {}
    for found, age in now.each(metrics.CHECK_AGE):
        row = laws.setdefault(found["law"], {"law": found["law"], "isRed": False, "ages": {}})
        row["ages"][found["when"]] = age
    for found, red in now.each(metrics.CHECK_RED):
        if red and found["law"] in laws:
            laws[found["law"]]["isRed"] = True
    return [laws[name] for name in sorted(laws)]


def _custody(now: Scrape) -> Row | None:
    if now.value(metrics.WITHDRAWAL_AGE) is None:
        return None
    heights = now.by(metrics.CHAIN_HEIGHT, "chain")
    return {
        "chains": [
            {"chain": chain, "tipAge": age, "height": heights.get(chain),
             "trouble": bool(now.value(metrics.CHAIN_TROUBLE, chain=chain))}
            for chain, age in now.by(metrics.CHAIN_AGE, "chain").items()
        ],
        "heights": heights, "difference": now.by(metrics.DIFFERENCE, "asset"),
        "reconciledAge": now.by(metrics.RECONCILED_AGE, "asset"), "hot": now.by(metrics.HOT, "chain"),
        "hotCap": now.by(metrics.HOT_CAP, "chain"), "withdrawals": now.by(metrics.WITHDRAWALS, "age"),
        "oldestWithdrawal": now.value(metrics.WITHDRAWAL_AGE),
    }  # fmt: skip


def _host(now: Scrape) -> Row:
    return {
        "diskFreeBytes": now.value(metrics.DISK_FREE), "diskSizeBytes": now.value(metrics.DISK_SIZE),
        "memoryAvailableBytes": now.value(metrics.MEMORY_FREE), "clockErrorSeconds": now.value(metrics.CLOCK_ERROR),
    }  # fmt: skip


def alarms(between: Between) -> list[Alarm]:
    """Return what somebody should look at now, the gravest first."""
    now, found = between.now, list[Alarm]()

    def page(is_so: object, what: str, severity: str = "page") -> None:
        if is_so:
            found.append(Alarm(severity, what))

    state = now.value(metrics.STATE)
    page(state is None, "nobody says whether the venue trades")
    page(state, f"the venue is {STATES.get(int(state or 0), 'halted')}")
    for scope, count in now.by(metrics.HALTED, "scope").items():
        page(count and scope != "venue", f"halted: {scope}")
    for law in sorted({labels["law"] for labels, red in now.each(metrics.CHECK_RED) if red}):
        page(True, f"law {law} is red")
    for judge, count in now.by(metrics.FINDINGS, "process").items():
        page(count, f"{judge} halts for {int(count)} findings")
    for judge in ("shadow", "auditor"):
        page(now.value(metrics.FINDINGS, process=judge) is None, f"the {judge} says nothing: nobody checks")
    for name, up in now.by(metrics.UP, "name").items():
        page(not up, f"{name} is down")
    for name, is_ready in now.by(metrics.READY, "process").items():
        page(not is_ready, f"{name} is not ready")
    for asset, difference in now.by(metrics.DIFFERENCE, "asset").items():
        page(difference, f"{asset}: chain and ledger differ by {int(difference)}")
    for chain, trouble in now.by(metrics.CHAIN_TROUBLE, "chain").items():
        page(trouble, f"{chain} cannot be worked with")
    page((now.value(metrics.QUEUE_AGE) or 0) > _QUEUE_OLD_SECONDS, "commands wait longer than a second")
    for reason, rate in between.rates(metrics.SHEDS, "reason").items():
        page(rate, f"requests are turned away: {reason}", "ticket" if reason == "rate_limit" else "page")
    for judge, lag in now.by(metrics.JUDGE_LAG, "process").items():
        page(lag > _LAG_SECONDS, f"the {judge} is {lag:.1f} s behind")
    for symbol, age in now.by(metrics.INDEX_AGE, "symbol").items():
        page(age > _INDEX_OLD_SECONDS, f"{symbol} is {age:.0f} s old")
    for symbol, is_frozen in now.by(metrics.INDEX_FROZEN, "symbol").items():
        page(is_frozen, f"{symbol} is frozen")
    page(now.value(metrics.UNDER_MAINTENANCE), "accounts are below maintenance")
    free, size = now.value(metrics.DISK_FREE), now.value(metrics.DISK_SIZE)
    page(free is not None and size and free / size < _DISK_SHARE, "the disk is nearly full")
    page((now.value(metrics.CLOCK_ERROR) or 0) > 1, "nobody sets the machine's clock", "ticket")
    return sorted(found, key=lambda alarm: alarm.severity)
