"""Every signature that parties make is taken by the chain's own software, and nothing that was changed is."""

import hashlib
from pathlib import Path

import pytest
from embit.script import Script, Witness
from embit.transaction import Transaction as BitcoinTransaction
from embit.transaction import TransactionInput, TransactionOutput
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction import Transaction as SolanaTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from ringfence.custody.chains.bitcoin.kernel import failing_input
from ringfence.custody.chains.bitcoin.transactions import Output
from ringfence.custody.chains.ethereum import transactions as ethereum
from ringfence.custody.chains.ethereum.addresses import address_of, spelt
from ringfence.custody.chains.solana import messages as solana
from ringfence.custody.hsm.token import der
from ringfence.custody.quorum.mpc.engine import Scheme
from ringfence.testing.anvil import Anvil, anvil_path
from tests.mpc.conftest import Settled

FOUR = ("ops-1", "ops-3", "policy-1", "policy-2")
CHAIN_ID, GWEI = 31_337, 10**9
NOBODY = b"\x11" * 20


@pytest.mark.skipif(anvil_path() is None, reason="no Ethereum node: npm, then `make anvil`")
async def test_ethereum_takes_a_payment_that_four_have_signed(settled: Settled, tmp_path: Path) -> None:
    record = settled.records[Scheme.ECDSA]
    payer = address_of(bytes.fromhex(record.public_key))
    with Anvil(tmp_path, chain_id=CHAIN_ID) as node:
        node.call("anvil_setBalance", spelt(payer), hex(10**19))
        for nonce, amount in enumerate((1, 10**18, 3 * 10**18)):
            transaction = ethereum.Transaction(CHAIN_ID, nonce, GWEI, 50 * GWEI, 21_000, NOBODY, amount)
            raw = ethereum.unsigned_bytes(transaction)
            digest = ethereum.sign_digest(raw)
            (one, *_) = await settled.circle.sign(record, digest, FOUR)
            sent = ethereum.signed_bytes(ethereum.read_unsigned(raw), one.signature, one.recovery_id)
            # With another amount under the same signature it is somebody else's who has no coins.
            forged = ethereum.signed_bytes(
                transaction._replace(value_wei=amount + 1), one.signature, one.recovery_id
            )
            with pytest.raises(RuntimeError, match="nsufficient"):
                node.call("eth_sendRawTransaction", "0x" + forged.hex())
            found = node.call("eth_sendRawTransaction", "0x" + sent.hex())
            assert bytes.fromhex(found[2:]) == ethereum.transaction_hash(sent)
            receipt = node.receipt(found)
            assert (receipt["status"], receipt["from"]) == ("0x1", spelt(payer).lower())
            with pytest.raises(RuntimeError, match="nonce too low"):
                node.call("eth_sendRawTransaction", "0x" + sent.hex())
        assert int(node.call("eth_getBalance", spelt(NOBODY), "latest"), 16) == 4 * 10**18 + 1


async def test_solana_takes_a_payment_that_four_have_signed(settled: Settled) -> None:
    record = settled.records[Scheme.ED25519]
    payer, to = Pubkey.from_bytes(bytes.fromhex(record.public_key)), Pubkey.new_unique()
    machine = LiteSVM()
    machine.airdrop(payer, 10**10)
    payment = solana.Payment(bytes(payer), bytes(to), 2_000_000_000, bytes(machine.latest_blockhash()))
    raw = solana.unsigned_bytes(payment)
    (one, *_) = await settled.circle.sign(record, raw, FOUR)
    forged = solana.signed_bytes(payment._replace(lamports=3_000_000_000), one.signature)
    assert isinstance(
        machine.send_transaction(SolanaTransaction.from_bytes(forged)), FailedTransactionMetadata
    )
    sent = solana.signed_bytes(solana.read_unsigned(raw), one.signature)
    done = machine.send_transaction(SolanaTransaction.from_bytes(sent))
    assert not isinstance(done, FailedTransactionMetadata)
    assert machine.get_balance(to) == 2_000_000_000


async def test_bitcoin_takes_a_payment_that_four_have_signed(settled: Settled) -> None:
    record = settled.records[Scheme.ECDSA]
    public = bytes.fromhex(record.public_key)
    key_hash = hashlib.new("ripemd160", hashlib.sha256(public).digest()).digest()
    coin = Output(5_000_000, b"\0\x14" + key_hash)
    inputs = [TransactionInput(b"\x42" * 32, 0, sequence=0xFFFFFFFD)]
    transaction = BitcoinTransaction(2, inputs, [TransactionOutput(4_999_000, Script(b"\0\x14" + NOBODY))], 0)
    code = Script(b"\x76\xa9\x14" + key_hash + b"\x88\xac")
    digest = transaction.sighash_segwit(0, code, coin.amount_sats)
    (one, *_) = await settled.circle.sign(record, digest, FOUR)
    transaction.vin[0].witness = Witness([der(one.signature) + b"\1", public])
    assert failing_input(transaction.serialize(), [coin]) is None
    transaction.vout[0].value += 1
    assert failing_input(transaction.serialize(), [coin]) == 0
