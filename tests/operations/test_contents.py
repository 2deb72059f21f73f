"""What goes into a backup, and what never does."""

from pathlib import Path

import pytest

from ringfence.operations.backup.contents import Reason, contents_of, reason_of


@pytest.mark.parametrize(
    "path",
    [
        "custody/cosigners/ops-1/pin",
        "custody/cosigners/ops-1/tls.key",
        "custody/cosigners/ops-1/tokens/a/b.object",
        "custody/cosigners/ops-1/shares.token",
        "custody/cosigners/ops-1/peers/ops-2.key",
        "custody/recovery/clients-0.key",
        "custody/people/custody-anna.key",
        "people/demo-risk.pem",
        "people/demo-security.key",
        "custody/newcomer/key",
        "cluster/tls.key",
        "nodes/node-2/cluster/password",
        "stream/nats-1.conf",
        "stream/nats-1/tls.key",
        "stream/trusted.crt",
        "journal/a.torn",
        "feed/a.feed",
        "accounts/log.new",
        "core.lock",
        ".cache/ringfence/engine-1/kernel.o",
        "database.url",
    ],
)
def test_left_out(path: str) -> None:
    assert reason_of(path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "accounts/log.jsonl",
        "accounts/secrets.key",
        "keys.json",
        "ringfence.toml",
        "configuration/7439b7bf4e2924c8.toml",
        "indices.toml",
        "roots/signing.key",
        "roots/nonces.key",
        "roots/chain.roots",
        "people/7439b7bf4e2924c8.json",
        "judges/shadow.pem",
        "proofs/signing.key",
        "proofs/published/index.json",
        "security/log.jsonl",
        "custody/charter.json",
        "custody/cosigners/ops-1/public.json",
        "custody/coordinator/log.jsonl",
        "what-somebody-adds-tomorrow",
    ],
)
def test_kept(path: str) -> None:
    assert reason_of(path) is None


def test_links_and_sockets_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[]")
    (tmp_path / "ringfence.toml").symlink_to("/etc/hostname")
    (tmp_path / "custody" / "odd").mkdir(parents=True)
    (tmp_path / "custody" / "odd" / "thing").touch()
    found = contents_of(tmp_path)
    assert found.kept == ("keys.json",)
    assert found.left_out == {Reason.UNKNOWN: 1}
