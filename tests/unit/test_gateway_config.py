"""A gateway's configuration: missing means the defaults, anything else must be right."""

from pathlib import Path

import pytest

from ringfence.daemons.gateway import read_config
from ringfence.exchange.gateway.gateway import Config


def test_no_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path / "gateway.json") == Config()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "[]",
        "{",
        '{"prot": 1}',
        '{"port": "8040"}',
        '{"limits": null}',
        '{"limits": {"x": 1}}',
    ],
)
def test_what_cannot_be_read_is_no_configuration(text: str, tmp_path: Path) -> None:
    """An empty list that was taken for an answer once turned away every client of another exchange."""
    path = tmp_path / "gateway.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"gateway\.json is no gateway configuration"):
        read_config(path)
