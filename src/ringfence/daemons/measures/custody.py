"""Custody's figures: chains, coins, withdrawals and how old they are, as the coordinator sees them."""

import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from ringfence.custody.coordinator.hot_rail import HotRail
from ringfence.monitoring import Page, Sample, metrics, serving
from ringfence.monitoring.samples import sample
from ringfence.units.time import NS_PER_SECOND

if TYPE_CHECKING:
    from ringfence.daemons.coordinator import Coordinator
    from ringfence.daemons.cosigner import CosignerDaemon

_AGES = (("below_10m", 600.0), ("below_1h", 3_600.0), ("below_6h", 21_600.0), ("older", float("inf")))


class Tips:
    """Since when each chain stands where it stands, as far as was seen by whoever asks."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}

    def age(self, chain: str, position: str) -> float:
        now = time.time()
        if self._seen.get(chain, ("", 0.0))[0] != position:
            self._seen[chain] = position, now
        return now - self._seen[chain][1]


def serving_coordinator(directory: Path, coordinator: "Coordinator") -> AbstractAsyncContextManager[None]:
    tips = Tips()

    def trouble() -> str:
        if not coordinator.ledger.custody_account:
            return "the ledger does not know of custody yet"
        return "; ".join(f"{what}: {why}" for what, why in coordinator.troubles.items())

    return serving(directory, Page("coordinator", lambda: _measure(coordinator, tips), trouble))


def _measure(coordinator: "Coordinator", tips: Tips) -> Iterator[Sample]:
    yield sample(metrics.SEQUENCE, coordinator.ledger.next_sequence)
    yield sample(metrics.AUDIT_HEAD, coordinator.log.count)
    yield sample(metrics.AUDIT_BROKEN, int(coordinator.log.is_broken))
    for chain, rail in list(coordinator.rails.items()):
        yield sample(metrics.CHAIN_TROUBLE, int(chain in coordinator.troubles), chain)
        if isinstance(rail, HotRail):
            coins = sum(coin.amount_sats for coin in coordinator.bitcoin.hot_coins())
            yield sample(metrics.HOT, coins, chain, rail.assets[0])
            yield sample(
                metrics.HOT_CAP, coordinator.policy_of(rail.assets[0]).hot_max, chain, rail.assets[0]
            )
        else:
            yield sample(metrics.CHAIN_AGE, tips.age(chain, rail.position()), chain)
            yield sample(metrics.REORG, rail.deepest_reorg, chain)
            waiting = sum(one.state in ("seen", "confirmed") for one in rail.deposits(coordinator.ledger))
            yield sample(metrics.DEPOSITS_UNCREDITED, waiting, chain)
        for asset in rail.assets:
            version = coordinator.versions(asset, chain).in_force.version
            yield sample(metrics.POLICY_VERSION, version, chain, asset)
    yield sample(metrics.FEE_RATE, coordinator.bitcoin.fee_rate_sats_per_kvb, coordinator.bitcoin.chain)
    now_ns = time.time_ns()
    for asset, report in {report.asset: report for report in coordinator.reports}.items():
        yield sample(metrics.DIFFERENCE, report.difference, asset)
        yield sample(metrics.RECONCILED_AGE, (now_ns - report.timestamp_ns) / NS_PER_SECOND, asset)
    heights = {report.chain_name: report.height for report in coordinator.reports}
    for name, height in heights.items():
        yield sample(metrics.CHAIN_HEIGHT, height, name)
    ages = [(now_ns - one.asked_ns) / NS_PER_SECOND for one in coordinator.ledger.open().values()]
    at_least = 0.0
    for name, below in _AGES:
        yield sample(metrics.WITHDRAWALS, sum(at_least <= age < below for age in ages), name)
        at_least = below
    yield sample(metrics.WITHDRAWAL_AGE, max(ages, default=0.0))
    yield sample(metrics.WITHDRAWALS_WAITING, sum(bool(why) for why in coordinator.waits.values()))


def serving_cosigner(directory: Path, daemon: "CosignerDaemon") -> AbstractAsyncContextManager[None]:
    """Serve what a co-signer says: whether it can sign and how far it follows. It tells nothing of what it signs."""

    def measure() -> Iterator[Sample]:
        yield sample(metrics.SEQUENCE, daemon.feed.ledger.next_sequence)
        yield sample(metrics.AUDIT_BROKEN, int(daemon.is_broken))

    return serving(directory, Page(f"cosigner-{daemon.name}", measure, daemon.trouble))
