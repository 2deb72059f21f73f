"""Write Grafana's dashboards: `python deploy/monitoring/make_dashboards.py`. A tidy test says whether they are current.

Grafana's own format says everything ten times; here a panel is a title, a unit and what it asks for. Each dashboard
has a data source variable, so that it can be imported as it is.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "dashboards"
_WIDTH, _HEIGHT, _IN_A_ROW = 8, 7, 3


class Panel(NamedTuple):
    title: str
    unit: str
    """Grafana's name of it: s, bytes, short, ops."""
    asks: tuple[tuple[str, str], ...]
    """Expression and legend."""
    kind: str = "timeseries"


def _rate(title: str, metric: str, *by: str) -> Panel:
    group = f"sum by ({', '.join(by)}) " if by else "sum "
    return Panel(
        title, "ops", ((f"{group}(rate({metric}[1m]))", " ".join(f"{{{{{one}}}}}" for one in by) or title),)
    )


def _quantiles(title: str, metric: str) -> Panel:
    asks = tuple(
        (f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[5m])))", f"p{name}")
        for share, name in ((0.5, "50"), (0.99, "99"), (0.999, "99.9"))
    )
    return Panel(title, "s", asks)


def _plain(title: str, unit: str, metric: str, legend: str = "", kind: str = "timeseries") -> Panel:
    return Panel(title, unit, ((metric, legend or title),), kind)


DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "exchange": (
        "Ringfence: exchange",
        (
            _plain("Processes up", "short", "ringfence_process_up", "{{name}}", "stat"),
            _plain("Not ready", "short", "ringfence_ready == 0", "{{process}}", "stat"),
            _plain(
                "Trading state (0 runs, 1 cancel only, 2 halted)",
                "short",
                "ringfence_trading_state",
                kind="stat",
            ),
            Panel(
                "Commands and events",
                "ops",
                (
                    ("rate(ringfence_commands_total[1m])", "slots"),
                    ("rate(ringfence_events_total[1m])", "events"),
                ),
            ),
            _quantiles("From a batch taken until published", "ringfence_batch_apply_seconds"),
            _quantiles("Journal sync", "ringfence_journal_sync_seconds"),
            _quantiles("Engine step", "ringfence_engine_step_seconds"),
            _quantiles("Wait in the queue", "ringfence_queue_wait_seconds"),
            Panel(
                "Queue",
                "short",
                (("ringfence_queue_slots", "slots"), ("ringfence_queue_age_seconds", "age, s")),
            ),
            Panel(
                "Batch",
                "short",
                (
                    ("histogram_quantile(0.5, sum by (le) (rate(ringfence_batch_slots_bucket[5m])))", "p50"),
                    ("histogram_quantile(0.99, sum by (le) (rate(ringfence_batch_slots_bucket[5m])))", "p99"),
                ),
            ),
            _plain("Sequence", "short", "ringfence_sequence", "{{process}}"),
            Panel(
                "Snapshot",
                "s",
                (("ringfence_snapshot_age_seconds", "age"), ("ringfence_root_age_seconds", "root")),
            ),
            _plain("Slots after the newest snapshot", "short", "ringfence_snapshot_behind_slots"),
            Panel(
                "History behind",
                "short",
                (("ringfence_feed_lag_seconds", "seconds"), ("ringfence_feed_lag_slots", "slots")),
            ),
            Panel(
                "Role and epoch",
                "short",
                (("ringfence_core_role", "{{role}}"), ("ringfence_core_epoch", "epoch")),
                "stat",
            ),
            _rate("Batches", "ringfence_batches_total"),
            _plain("Followers behind the stream", "short", "ringfence_stream_behind_entries", "{{process}}"),
            _plain("Nobody heard of the leader for", "s", "ringfence_leader_silent_seconds", "{{process}}"),
            _plain("Connected to the core", "short", "ringfence_core_connections"),
            _plain("Memory", "bytes", "ringfence_process_resident_memory_bytes", "{{process}}"),
            _rate("Processor", "ringfence_process_cpu_seconds_total", "process"),
            _plain("Restarts", "short", "ringfence_process_restarts_total", "{{name}}"),
            _plain("Disk free", "bytes", "ringfence_disk_free_bytes"),
            _plain("Memory of the machine", "bytes", "ringfence_host_memory_available_bytes"),
            _plain("Clock may be wrong by", "s", "ringfence_host_clock_error_seconds"),
        ),
    ),
    "gateways": (
        "Ringfence: gateways and people",
        (
            _rate("Answers by route", "ringfence_gateway_requests_total", "route"),
            _rate("Answers by status", "ringfence_gateway_requests_total", "status"),
            _rate("Turned away", "ringfence_gateway_sheds_total", "reason"),
            _quantiles("Order round trip", "ringfence_order_round_trip_seconds"),
            Panel(
                "Requests, p99 by route",
                "s",
                (
                    (
                        "histogram_quantile(0.99, sum by (le, route)"
                        " (rate(ringfence_gateway_request_seconds_bucket[5m])))",
                        "{{route}}",
                    ),
                ),
            ),
            _plain(
                "Commands that await their outcome",
                "short",
                "ringfence_gateway_pending_commands",
                "{{process}}",
            ),
            _plain("Connections", "short", "ringfence_gateway_connections", "{{kind}}"),
            _plain(
                "Unsent to the slowest client",
                "bytes",
                "ringfence_gateway_realtime_unsent_bytes",
                "{{process}}",
            ),
            _rate("Slow clients cut", "ringfence_gateway_slow_consumers_cut_total"),
            _plain("Line to the core", "short", "ringfence_core_connected", "{{process}}", "stat"),
            _rate("Wrong tries to sign in", "ringfence_login_failures_total"),
            _rate("What users did", "ringfence_user_log_entries_total", "kind"),
            _plain("Users", "short", "ringfence_users", kind="stat"),
            _plain("Mail that waits", "short", "ringfence_mails_waiting"),
            _rate("What operators and judges did", "ringfence_admin_commands_total", "kind"),
        ),
    ),
    "risk": (
        "Ringfence: risk, judges and money",
        (
            _plain("Red checks", "short", "sum by (law) (ringfence_check_red) > 0", "{{law}}", "stat"),
            _plain("Findings", "short", "ringfence_judge_findings", "{{process}}", "stat"),
            Panel(
                "Halts",
                "short",
                (("ringfence_halts", "{{scope}}"), ("ringfence_halts_total", "ever")),
                "stat",
            ),
            _plain("Age of checks", "s", "max by (law) (ringfence_check_age_seconds)", "{{law}}"),
            _plain("Judges behind", "s", "ringfence_judge_lag_seconds", "{{process}}"),
            _plain("Newest root judged", "s", "ringfence_judged_root_age_seconds", "{{process}}"),
            _plain("Insurance fund", "short", "ringfence_insurance_fund", "{{asset}}"),
            _plain("Accounts under maintenance", "short", "ringfence_accounts_under_maintenance"),
            _plain("Taken over and not closed", "short", "ringfence_liquidation_backlog"),
            _rate("Liquidations", "ringfence_liquidations_total", "step"),
            _rate("Deleveraged", "ringfence_deleveraged_total"),
            _plain("Margins looked through", "s", "ringfence_margin_computed_age_seconds"),
            _plain("Age of indices", "s", "ringfence_index_age_seconds", "{{symbol}}"),
            _plain(
                "Age of sources", "s", "ringfence_index_source_age_seconds < 3600", "{{symbol}} {{source}}"
            ),
            _plain("Age of marks", "s", "ringfence_mark_age_seconds", "{{symbol}}"),
            _plain("Accounts", "short", "ringfence_accounts"),
            _plain("Open orders", "short", "ringfence_open_orders"),
            _plain("Prices in books", "short", "ringfence_book_levels", "{{symbol}} {{side}}"),
            _plain("Newest proven minute", "s", "ringfence_proof_minute_age_seconds"),
        ),
    ),
    "custody": (
        "Ringfence: custody",
        (
            _plain(
                "Chain less ledger less what explains it",
                "short",
                "ringfence_reconciliation_difference",
                "{{asset}}",
                "stat",
            ),
            _plain(
                "Since a chain was held against the ledger",
                "s",
                "ringfence_reconciliation_age_seconds",
                "{{asset}}",
            ),
            _plain("Chains in trouble", "short", "ringfence_chain_trouble", "{{chain}}", "stat"),
            _plain("Height", "short", "ringfence_chain_height", "{{chain}}"),
            _plain("Age of the tip", "s", "ringfence_chain_tip_age_seconds", "{{chain}}"),
            Panel(
                "Hot wallet",
                "short",
                (("ringfence_hot_balance", "{{chain}}"), ("ringfence_hot_balance_cap", "cap")),
            ),
            _plain(
                "Deepest reorganisation", "short", "ringfence_chain_deepest_reorg_blocks", "{{chain}}", "stat"
            ),
            _plain("Satoshis per 1,000 vbytes", "short", "ringfence_chain_fee_rate", "{{chain}}"),
            _plain("Deposits not credited yet", "short", "ringfence_deposits_uncredited", "{{chain}}"),
            _plain(
                "Version of the policy", "short", "ringfence_policy_version", "{{chain}} {{asset}}", "stat"
            ),
            _plain("Withdrawals under way", "short", "ringfence_withdrawals_pending", "{{age}}"),
            _plain("The oldest of them", "s", "ringfence_withdrawal_oldest_age_seconds"),
            _plain("They wait for people or time", "short", "ringfence_withdrawals_waiting"),
            _plain("Co-signers up", "short", 'ringfence_process_up{name=~"cosigner-.*"}', "{{name}}", "stat"),
            _plain("Lines of hash-chained logs", "short", "ringfence_audit_log_entries", "{{process}}"),
            _plain("Logs that may be broken", "short", "ringfence_audit_log_broken", "{{process}}", "stat"),
        ),
    ),
}


def dashboard(name: str) -> str:
    """Return one dashboard as Grafana imports it."""
    title, panels = DASHBOARDS[name]
    source = {"type": "prometheus", "uid": "${source}"}
    made: dict[str, Any] = {
        "uid": f"ringfence-{name}",
        "title": title,
        "tags": ["ringfence"],
        "schemaVersion": 38,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "templating": {
            "list": [{"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [
            {
                "id": number + 1,
                "title": panel.title,
                "type": panel.kind,
                "datasource": source,
                "gridPos": {
                    "x": number % _IN_A_ROW * _WIDTH,
                    "y": number // _IN_A_ROW * _HEIGHT,
                    "w": _WIDTH,
                    "h": _HEIGHT,
                },
                "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
                "targets": [
                    {
                        "refId": chr(ord("A") + at),
                        "expr": expression,
                        "legendFormat": legend,
                        "datasource": source,
                    }
                    for at, (expression, legend) in enumerate(panel.asks)
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }
    return json.dumps(made, indent=2) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(dashboard(name))


if __name__ == "__main__":
    main()
