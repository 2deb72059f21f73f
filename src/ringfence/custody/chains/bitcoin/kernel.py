"""Bitcoin Core's consensus library. The only module that knows `pbk`, whose authors call it alpha.

It judges spends for everybody; as a chain it serves regtest alone, and refuses to be anything else.
"""

import ctypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pbk
from pbk.capi import bindings
from pbk.script import PrecomputedTransactionData

from ringfence.custody.chains.bitcoin.transactions import Output

VERSION = "31.99"
"""The version of Bitcoin Core whose rules these are."""
_REASON = re.compile(r"(?:state=|failed, |FAILED \()([^,()]+)(?:, ([^()]*))?")


def failing_input(raw: bytes, spent: Sequence[Output]) -> int | None:
    """Return the first input of a transaction that may not spend its coin, None if all may.

    `spent` are the outputs that the inputs spend, in their order. All rules of consensus are applied; heights
    and times, which only a chain has, are not looked at.
    """
    transaction = pbk.Transaction(raw)
    if len(transaction.inputs) != len(spent):
        return min(len(transaction.inputs), len(spent))
    scripts = [pbk.ScriptPubkey(output.script) for output in spent]
    outputs = [
        pbk.TransactionOutput(script, output.amount_sats)
        for script, output in zip(scripts, spent, strict=True)
    ]
    precomputed = PrecomputedTransactionData(transaction, outputs)
    flags = pbk.ScriptVerificationFlags.ALL
    for index, (script, output) in enumerate(zip(scripts, spent, strict=True)):
        if not script.verify(output.amount_sats, transaction, precomputed, index, flags):
            return index
    return None


class Verdict(NamedTuple):
    """What the kernel said to a block."""

    is_valid: bool
    """As far as it was looked at: a block of a shorter branch is looked at when its branch is the longest."""
    reason: str
    """Core's own word for what is wrong, such as `bad-cb-amount`; empty if nothing is."""


class KernelError(Exception):
    """The library does not work. Nothing was decided; see the text."""


class KernelChain:
    """A regtest chain in a directory. What it has not flushed is lost with the process: feed it again."""

    def __init__(self, directory: Path) -> None:
        """Open or create a chain. Raises KernelError if it is damaged or in use."""
        self._refusals: list[str] = []
        self._lines: list[str] = []
        # The binding tells no reason; the library's log does.
        self._log = pbk.LoggingConnection(self._lines.append)
        pbk.enable_log_category(pbk.LogCategory.VALIDATION)
        # Without a callback of ours nothing says that a block was refused: process_block() says "new" to it.
        self._callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._checked)
        try:
            self._manager: Any = pbk.load_chainman(directory, pbk.ChainType.REGTEST, self._callbacks)
        except RuntimeError as error:
            raise KernelError(
                f"{directory} is in use or damaged. If nobody uses it, delete it: blocks are fed again."
            ) from error
        self._chain: Any = self._manager.get_active_chain()
        self._lines.clear()

    def process(self, raw: bytes) -> Verdict:
        """Feed a block. Known ones do no harm."""
        self._refusals.clear()
        self._lines.clear()
        try:
            self._manager.process_block(_block(raw))
        except (pbk.KernelException, RuntimeError):
            return Verdict(False, self._reason() or "not a block")
        finally:
            refused = bool(self._refusals)
        return Verdict(not refused, self._reason() if refused else "")

    def knows(self, digest: str) -> bool:
        """Return whether a block was fed, whatever became of it."""
        return pbk.BlockHash(bytes.fromhex(digest)[::-1]) in self._manager.block_tree_entries

    @property
    def height(self) -> int:
        return int(self._chain.height)

    def digest_at(self, height: int) -> str:
        """Return which block of the longest valid chain is at a height."""
        return str(self._chain.block_tree_entries[height].block_hash)

    def header_at(self, height: int) -> bytes:
        return bytes(self._chain.block_tree_entries[height].block_header)

    def close(self) -> None:
        """Flush and close: the library does both when its objects are gone."""
        self._chain = self._manager = self._callbacks = self._log = None

    def _checked(self, _data: object, block: Any, state: Any) -> None:
        # No logic here: an exception in a callback is swallowed by ctypes.
        if state.validation_mode != pbk.ValidationMode.VALID:
            self._refusals.append(str(block.block_hash))

    def _reason(self) -> str:
        for line in self._lines:
            found = _REASON.search(line)
            if found is not None:
                return found[1] if not found[2] else f"{found[1]}: {found[2]}"
        return self._lines[-1].strip() if self._lines else "refused"


def _block(raw: bytes) -> Any:
    """Return a block of the library. Its own constructor takes 131 ms for 400 kB, byte by byte; this 5 us."""
    buffer = (ctypes.c_ubyte * len(raw)).from_buffer_copy(raw)
    handle = bindings.btck_block_create(buffer, len(raw))
    if not handle:
        raise RuntimeError("not a block")
    return pbk.Block._from_handle(handle)
