"""`ringfence withdrawal`: a client's own key, on the client's own machine. It needs no exchange to run.

Each command prints the text that is signed, and the parameters of the request that carries the signature.
"""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ringfence.cli import passphrase

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ringfence.messages.funds import Keyed, Listed, Wish

app = App(
    name="withdrawal",
    help="Sign your withdrawals with a key that the exchange never sees: `new-key`, `sign-key`, then `sign`.",
)
Key = Annotated[Path, Parameter(help="The file of your withdrawal key.")]
Account = Annotated[int, Parameter(help="Your account's number: `id` of GET /user.")]
Nonce = Annotated[
    int | None, Parameter(help="Above that of your last signature; else the time in milliseconds.")
]
PassphraseFile = Annotated[
    Path | None, Parameter(help="A file with the key's passphrase; else it is asked for.")
]


@app.command
def new_key(output: Path, *, passphrase_file: PassphraseFile = None) -> None:
    """Make a key, protected by a passphrase. Keep a copy where a fire does not reach it."""
    from ringfence.assurance.halting import new_private_key, write_private_key
    from ringfence.messages.halts import Scheme

    try:
        words = passphrase.fresh(passphrase_file)
        write_private_key(output, new_private_key(Scheme.ED25519), passphrase=words)
    except OSError as error:
        sys.exit(f"{error}; no key was made")
    print(f"written to {output}; name it with `ringfence withdrawal sign-key --key {output} --account N`")


@app.command
def sign_key(
    *, key: Key, account: Account, old: Annotated[Path | None, Parameter(help="The key in force.")] = None,
    nonce: Nonce = None, passphrase_file: PassphraseFile = None, old_passphrase_file: PassphraseFile = None,
) -> None:  # fmt: skip
    """Sign what POST /user/withdrawalKey needs, so that from then on only this key withdraws.

    Without the consent of a key that is in force (`--old`), the new one waits for seven days.
    """
    from ringfence.messages.funds import Keyed, to_be_signed

    private = _read(key, passphrase_file)
    said = Keyed(private.public_key().public_bytes_raw().hex(), _nonce(nonce))
    more = {"publicKey": said.public_key}
    if old is not None:
        more["consent"] = _read(old, old_passphrase_file).sign(to_be_signed(said, account=account)).hex()
    _sign(private, said, account, more)


@app.command
def sign_address(
    *, key: Key, account: Account, address: str, name: str, nonce: Nonce = None,
    passphrase_file: PassphraseFile = None,
) -> None:  # fmt: skip
    """Sign what POST /address needs: a line of your address book. From the first on, coins go nowhere else."""
    from ringfence.messages.funds import Listed

    private = _read(key, passphrase_file)
    said = Listed(address, _nonce(nonce))
    _sign(private, said, account, {"currency": "XBt", "network": "btc", "address": address, "name": name})


@app.command
def sign(
    *, key: Key, account: Account, address: str, amount: int, currency: str = "XBt", fee: int | None = None,
    nonce: Nonce = None, passphrase_file: PassphraseFile = None,
) -> None:  # fmt: skip
    """Sign what POST /user/requestWithdrawal needs; amount and fee in the currency's smallest unit (XBt, USDt, Gwei,
    LAMPORT). What is left of the fee comes back."""
    from ringfence.messages.funds import Wish
    from ringfence.units.assets import BY_CURRENCY

    asset = BY_CURRENCY.get(currency)
    if asset is None:
        sys.exit(f"--currency is one of {', '.join(BY_CURRENCY)}; nothing was signed")
    private, fee = _read(key, passphrase_file), asset.withdrawal_fee if fee is None else fee
    said = Wish(address, amount, fee, is_confirmed=True, nonce=_nonce(nonce))
    more = {"currency": currency, "network": asset.network, "address": address, "amount": amount, "fee": fee}
    _sign(private, said, account, more, currency=currency)


def _read(path: Path, passphrase_file: Path | None) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from ringfence.assurance.halting import read_private_key

    try:
        private = read_private_key(path, passphrase=passphrase.existing(path, passphrase_file))
    except (OSError, ValueError) as error:
        sys.exit(f"{error}; nothing was signed")
    if not isinstance(private, Ed25519PrivateKey):
        sys.exit(f"{path} is no Ed25519 key; nothing was signed")
    return private


def _nonce(given: int | None) -> int:
    return time.time_ns() // 1_000_000 if given is None else given


def _sign(
    private: "Ed25519PrivateKey", said: "Keyed | Listed | Wish", account: int, more: dict[str, Any], *,
    currency: str = "",
) -> None:  # fmt: skip
    import json

    from ringfence.messages.funds import to_be_signed

    text = to_be_signed(said, account=account, currency=currency)
    print(text.decode(), file=sys.stderr)
    print(json.dumps({**more, "nonce": said.nonce, "signature": private.sign(text).hex()}))
