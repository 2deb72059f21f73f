"""A chain in memory for judges: what is held is what was written down."""

from ringfence.assurance.audit.chains import ChainError, Tip


class RecordedChain:
    """Every move makes a block; a block that was taken back is not answered for any more."""

    def __init__(self, confirmed: dict[int, int] | None = None) -> None:
        self._held: list[dict[int, int]] = [dict(confirmed or {})]
        self._forks = 0
        self.pending_change: dict[int, int] = {}
        self.pending_credit: dict[int, int] = {}
        self.pending_debit: dict[int, int] = {}
        self.is_down = False

    def move(self, asset: int, amount: int) -> None:
        """Mine a block in which what we hold of an asset changes."""
        held = dict(self._held[-1])
        held[asset] = held.get(asset, 0) + amount
        self._held.append(held)

    def take_back(self) -> None:
        """Reorganise: the newest block was not the last word."""
        self._held.pop()
        self._forks += 1

    def follow(self, sequence: int) -> None:
        """What is pending here is what was written down, whatever the ledger says."""

    def tip(self) -> Tip:
        self._answer()
        height = len(self._held) - 1
        return Tip(height, f"{self._forks}-{height}")

    def confirmed(self, asset: int, at: Tip) -> int:
        self._answer(at)
        return self._held[at.height].get(asset, 0)

    def change_in_flight(self, asset: int, at: Tip) -> int:
        self._answer(at)
        return self.pending_change.get(asset, 0)

    def uncredited(self, asset: int, at: Tip) -> int:
        self._answer(at)
        return self.pending_credit.get(asset, 0)

    def paid_ahead(self, asset: int, at: Tip) -> int:
        self._answer(at)
        return self.pending_debit.get(asset, 0)

    def _answer(self, at: Tip | None = None) -> None:
        if self.is_down:
            raise ChainError("the node does not answer")
        if at is not None and (at.height >= len(self._held) or not at.digest.startswith(f"{self._forks}-")):
            raise ChainError(f"block {at.height} is not in the chain")
