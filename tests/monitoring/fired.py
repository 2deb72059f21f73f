"""For every alert, series that make it fire, and when: what promtool plays to the rules.

A series is a metric with its labels and values as promtool writes them: `0x60` is sixty times zero more, `1+2x60` sixty
steps of two, `_` nothing. One value every five seconds.
"""

from typing import Any, NamedTuple

from ringfence.assurance.audit.laws import LAWS

LAWS_WITHOUT_CUSTODY = tuple(law.id for law in LAWS if law.id != "I02")
ALL_LAWS = [
    (f'ringfence_check_red{{process="auditor",law="{law}",when="batch"}}', "0x400")
    for law in LAWS_WITHOUT_CUSTODY
]
Series = list[tuple[str, str]]


class Case(NamedTuple):
    alert: str
    series: Series
    at: str
    labels: dict[str, str]
    """Of the alert, besides severity and owner."""


def _one(alert: str, metric: str, values: str, at: str, *, process: str = "", **labels: str) -> Case:
    named = {"process": process, **labels} if process else labels
    return Case(alert, [(f"{metric}{_braces(named)}", values)], at, named)


def _braces(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}" if labels else ""


def _histogram(alert: str, metric: str, process: str, at: str) -> Case:
    """Every observation takes between half a second and one."""
    buckets = [("0.0001", "0x400"), ("0.5", "0x400"), ("1.0", "0+10x400"), ("+Inf", "0+10x400")]
    series = [
        (f"{metric}_bucket{_braces({'process': process, 'le': edge})}", values) for edge, values in buckets
    ]
    return Case(alert, series, at, {})


def _missing(alert: str, process: str) -> Case:
    return Case(alert, [('ringfence_ready{process="other"}', "1x400")], "1m", {"process": process})


_UP_COORDINATOR = ('ringfence_process_up{process="metrics",name="coordinator"}', "1x400")

FIRES: list[Case] = [
    _one("ProcessDown", "ringfence_process_up", "1x5 0x60", "1m", process="metrics", name="gateway"),
    Case("MetricsMissing", [('other{a="b"}', "1x60")], "1m", {}),
    Case(
        "MetricsMissing",
        [('up{job="ringfence"}', "0x60"), ('ringfence_process_up{name="core"}', "1x60")],
        "1m",
        {"job": "ringfence"},
    ),
    _one(
        "ProcessRestarting",
        "ringfence_process_restarts_total",
        "0x10 1+1x200",
        "10m",
        process="metrics",
        name="core",
    ),
    _one("ProcessNotReady", "ringfence_ready", "0x60", "3m", process="core"),
    _missing("CoreMissing", "core"),
    _missing("GatewayMissing", "gateway"),
    _missing("HistoryMissing", "history"),
    _missing("ShadowMissing", "shadow"),
    _missing("AuditorMissing", "auditor"),
    _missing("ProverMissing", "prover"),
    _missing("PriceFeedMissing", "price-feed"),
    _one("CommandsStopped", "ringfence_commands_total", "0+5x20 100x100", "6m", process="core"),
    _one("QueueOld", "ringfence_queue_age_seconds", "3x60", "30s", process="core"),
    Case(
        "OrdersShed",
        [('ringfence_gateway_sheds_total{process="gateway",reason="queue_full"}', "0+5x100")],
        "3m",
        {"reason": "queue_full"},
    ),
    _histogram("JournalSyncSlow", "ringfence_journal_sync_seconds", "core", "15m"),
    _histogram("OrderAcknowledgementSlow", "ringfence_order_round_trip_seconds", "gateway", "20m"),
    _histogram("EngineStepSlow", "ringfence_engine_step_seconds", "core", "15m"),
    _one("SnapshotsFail", "ringfence_snapshots_failed_total", "0x10 1x60", "2m", process="core"),
    _one("SnapshotsFail", "ringfence_snapshot_behind_slots", "3000000x20", "1m", process="core"),
    _one("RootMissing", "ringfence_root_age_seconds", "40+5x60", "1m", process="core"),
    Case("RootMissing", [('ringfence_ready{process="core"}', "1x60")], "1m", {}),
    _one("FollowerBehind", "ringfence_stream_behind_entries", "300x20", "1m", process="core-node-2"),
    _one("LeaderSilent", "ringfence_leader_silent_seconds", "5x20", "1m", process="core-node-2"),
    Case(
        "NoLeader",
        [('ringfence_core_role{process="core",role="follower"}', "1x20")],
        "1m",
        {"role": "leader"},
    ),
    _one("CoreDisconnected", "ringfence_core_connected", "0x60", "30s", process="gateway"),
    Case(
        "GatewayFaults",
        [('ringfence_gateway_requests_total{process="gateway",route="order",status="500"}', "0x5 1x60")],
        "1m",
        {"route": "order"},
    ),
    _one("SlowConsumersCut", "ringfence_gateway_slow_consumers_cut_total", "0+5x60", "4m", process="gateway"),
    _one("HistoryBehind", "ringfence_feed_lag_seconds", "20x60", "1m", process="history"),
    _one("TradingHalted", "ringfence_trading_state", "0x5 2x20", "1m", process="history"),
    _one("ScopeHalted", "ringfence_halts", "1x20", "1m", process="history", scope="contract"),
    _one("IndexOld", "ringfence_index_age_seconds", "11+5x20", "1m", process="history", symbol=".BXBT"),
    Case("IndexMissing", [('ringfence_ready{process="history"}', "1x60")], "3m", {}),
    _one("IndexFrozen", "ringfence_index_frozen", "1x20", "1m", process="history", symbol=".BXBT"),
    _one(
        "IndexSourceSilent",
        "ringfence_index_source_age_seconds",
        "61+5x60",
        "2m",
        process="history",
        symbol=".BXBT",
        source="kraken",
    ),
    _one("MarkOld", "ringfence_mark_age_seconds", "61+5x60", "1m", process="history", symbol="XBTUSD"),
    _one("AccountsUnderMaintenance", "ringfence_accounts_under_maintenance", "2x60", "2m", process="history"),
    _one("LiquidationBacklog", "ringfence_liquidation_backlog", "1x400", "20m", process="history"),
    _one("Deleveraging", "ringfence_deleveraged_total", "0x5 3x60", "1m", process="history"),
    _one(
        "InsuranceFundFalls",
        "ringfence_insurance_fund",
        "100x20 70x900",
        "61m",
        process="history",
        asset="XBt",
    ),
    _one("InsuranceFundFalls", "ringfence_insurance_fund", "0x10", "30s", process="history", asset="XBt"),
    _one("MarginsOld", "ringfence_margin_computed_age_seconds", "61+5x60", "2m", process="history"),
    Case("MarginsOld", [('ringfence_ready{process="history"}', "1x60")], "2m", {}),
    _one("CheckRed", "ringfence_check_red", "0x5 1x20", "1m", process="auditor", law="I03", when="second"),
    Case(
        "CheckOld",
        [
            ('ringfence_check_age_seconds{process="auditor",law="I05",when="sweep"}', "181+5x20"),
            ('ringfence_check_age_limit_seconds{process="auditor",law="I05",when="sweep"}', "180x20"),
        ],
        "1m",
        {"process": "auditor", "law": "I05", "when": "sweep"},
    ),
    *(
        Case("CheckMissing", [one for one in ALL_LAWS if f'law="{law}"' not in one[0]], "2m", {"law": law})
        for law in LAWS_WITHOUT_CUSTODY
    ),
    _one("JudgeFindings", "ringfence_judge_findings", "1x20", "1m", process="shadow"),
    _one("JudgeBehind", "ringfence_judge_lag_seconds", "2x20", "1m", process="shadow"),
    _one("JudgeNotCaughtUp", "ringfence_judge_caught_up", "0x100", "6m", process="auditor"),
    _one("RootNotJudged", "ringfence_judged_root_age_seconds", "61+5x60", "2m", process="shadow"),
    _one("ProofMinuteOld", "ringfence_proof_minute_age_seconds", "181+5x60", "1m", process="prover"),
    _one("ProofOverdue", "ringfence_proof_snapshot_overdue_seconds", "3601+5x60", "1m", process="prover"),
    _one("ProofWithheld", "ringfence_proof_findings", "1x100", "6m", process="prover"),
    _one("ChainUnusable", "ringfence_chain_trouble", "1x60", "3m", process="coordinator", chain="bitcoin"),
    _one(
        "ChainTipOld",
        "ringfence_chain_tip_age_seconds",
        "7201+5x60",
        "1m",
        process="coordinator",
        chain="bitcoin",
    ),
    _one(
        "ChainReorganised",
        "ringfence_chain_deepest_reorg_blocks",
        "0x4 3x60",
        "2m",
        process="coordinator",
        chain="bitcoin",
    ),
    _one(
        "LedgerAndChainDiffer",
        "ringfence_reconciliation_difference",
        "0x5 -1x20",
        "1m",
        process="coordinator",
        asset="XBt",
    ),
    _one(
        "ReconciliationOld",
        "ringfence_reconciliation_age_seconds",
        "901+5x20",
        "1m",
        process="coordinator",
        asset="XBt",
    ),
    Case("ReconciliationMissing", [_UP_COORDINATOR], "11m", {}),
    Case("ChainCheckMissing", [_UP_COORDINATOR], "11m", {"law": "I02"}),
    Case(
        "HotWalletOverCap",
        [
            ('ringfence_hot_balance{process="coordinator",chain="b:hot",asset="XBt"}', "101x100"),
            ('ringfence_hot_balance_cap{process="coordinator",chain="b:hot",asset="XBt"}', "100x100"),
        ],
        "6m",
        {"process": "coordinator", "chain": "b:hot", "asset": "XBt"},
    ),
    _one(
        "WithdrawalOld", "ringfence_withdrawal_oldest_age_seconds", "21601+5x60", "1m", process="coordinator"
    ),
    Case(
        "CosignersMissing",
        [
            (f'ringfence_process_up{{process="metrics",name="cosigner-{n}"}}', "1x100" if n < 3 else "0x100")
            for n in range(5)
        ],
        "6m",
        {},
    ),
    _one("LoginFailures", "ringfence_login_failures_total", "0+3x200", "10m", process="account-desk"),
    _one("AdminAction", "ringfence_admin_commands_total", "0x5 1x60", "1m", process="history", kind="settle"),
    _one("AuditLogShrank", "ringfence_audit_log_entries", "100x30 90x60", "6m", process="coordinator"),
    _one("AuditLogBroken", "ringfence_audit_log_broken", "1x20", "1m", process="account-desk"),
    _one("CoreLineCut", "ringfence_core_connections_cut_total", "0x5 1x60", "1m", process="core"),
    _one("MailsWaiting", "ringfence_mails_waiting", "21x200", "11m", process="account-desk"),
    Case(
        "DiskNearlyFull",
        [
            ('ringfence_disk_free_bytes{process="metrics"}', "9x60"),
            ('ringfence_disk_size_bytes{process="metrics"}', "100x60"),
        ],
        "2m",
        {"process": "metrics"},
    ),
    _one("MemoryLow", "ringfence_host_memory_available_bytes", "1000000x60", "2m", process="metrics"),
    _one("ClockUncertain", "ringfence_host_clock_error_seconds", "16x100", "6m", process="metrics"),
]

_PROCESSES = (
    "core",
    "gateway",
    "history",
    "shadow",
    "auditor",
    "prover",
    "price-feed",
    "coordinator",
    "account-desk",
)
_CALM: list[tuple[str, str]] = [
    ('ringfence_core_role{process="core",role="leader"}', "1x900"),
    ("ringfence_commands_total{process=\"core\"}", "0+50x900"),
    ("ringfence_queue_age_seconds{process=\"core\"}", "0.001x900"),
    ("ringfence_root_age_seconds{process=\"core\"}", "1x900"),
    ("ringfence_snapshot_behind_slots{process=\"core\"}", "0+50x900"),
    ("ringfence_gateway_sheds_total{process=\"gateway\",reason=\"rate_limit\"}", "0+5x900"),
    ("ringfence_gateway_requests_total{process=\"gateway\",route=\"order\",status=\"200\"}", "0+5x900"),
    ("ringfence_trading_state{process=\"history\"}", "0x900"),
    ("ringfence_halts{process=\"history\",scope=\"contract\"}", "0x900"),
    ("ringfence_index_age_seconds{process=\"history\",symbol=\".BXBT\"}", "1x900"),
    ("ringfence_mark_age_seconds{process=\"history\",symbol=\"XBTUSD\"}", "1x900"),
    ("ringfence_insurance_fund{process=\"history\",asset=\"XBt\"}", "100-0.01x900"),
    ("ringfence_margin_computed_age_seconds{process=\"history\"}", "5x900"),
    ("ringfence_reconciliation_difference{process=\"coordinator\",asset=\"XBt\"}", "0x900"),
    ("ringfence_reconciliation_age_seconds{process=\"coordinator\",asset=\"XBt\"}", "300x900"),
    ("ringfence_check_red{process=\"auditor\",law=\"I02\",when=\"chain\"}", "0x900"),
    ("ringfence_audit_log_entries{process=\"coordinator\"}", "0+1x900"),
    ("ringfence_host_clock_error_seconds{process=\"metrics\"}", "0.01x900"),
    ("up{job=\"ringfence\"}", "1x900"),
]  # fmt: skip
CALM: Series = [
    *_CALM,
    *((f'ringfence_ready{{process="{name}"}}', "1x900") for name in _PROCESSES),
    *((f'ringfence_process_up{{process="metrics",name="{name}"}}', "1x900") for name in _PROCESSES),
    *((f'ringfence_process_up{{process="metrics",name="cosigner-{n}"}}', "1x900") for n in range(5)),
    *((series, "0x900") for series, _ in ALL_LAWS),
]
"""An hour and a quarter of an exchange with custody that is well."""


def as_promtool(cases: list[Case], rules: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tests in promtool's words; `rules` are the rules by name."""
    return [
        {
            "interval": "5s",
            "input_series": [{"series": series, "values": values} for series, values in case.series],
            "alert_rule_test": [{
                "eval_time": case.at, "alertname": case.alert,
                "exp_alerts": [{
                    "exp_labels": {**case.labels, **rules[case.alert]["labels"]},
                    "exp_annotations": rules[case.alert]["annotations"],
                }],
            }],
        }
        for case in cases
    ]  # fmt: skip
