"""`ringfence.toml`: whatever is missing, empty, garbage or unknown is named, and nothing starts."""

import re
from pathlib import Path

import msgspec
import pytest

from ringfence.configuration import (
    ANY,
    FIRST,
    NAME,
    NONE,
    SETTINGS,
    Configuration,
    Setting,
    Settings,
    SettingsError,
    check_in_force,
    configuration_in_force,
    decode,
    differences,
    in_words,
    keep_text,
    note_in_force,
    number_in_force,
    number_of,
    read_configuration,
    render,
    text_in_force,
    text_path,
    text_refusal,
)
from ringfence.daemons import configuring
from ringfence.daemons.gateway import config_of

TEXT = render(FIRST).decode()
GARBAGE = {
    int: ['"8040"', "8040.5", "true", "-1", "[]", "nan", "99999999999"],
    str: ["7", '""', '" "', '"a b"', "[]", '"\\n"'],
    bool: ['"true"', "1", "[]"],
    tuple: ['"https://a.example"', '[""]', '["charts.example"]', "[1]", '["https://a.example/page"]'],
}
"""By the kind of a value: what it never is."""
PATHS = {"fix.certificate", "fix.private_key"}
"""A path may have spaces within."""
every = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)


def kind_of(setting: Setting) -> type:
    return next(kind for kind in (bool, int, str, tuple) if isinstance(setting.of(FIRST), kind))


def said(setting: Setting, value: str | None) -> str:
    """Return the file of a new exchange with one value as this text, or without it."""
    table = TEXT.index(f"[{setting.table}]")
    line = re.compile(rf"^{setting.key} = .*\n", re.MULTILINE)
    assert line.search(TEXT, table)
    begin, end = line.search(TEXT, table).span()  # type: ignore[union-attr]
    return TEXT[:begin] + ("" if value is None else f"{setting.key} = {value}\n") + TEXT[end:]


def refusal(text: str) -> str:
    with pytest.raises(SettingsError) as refused:
        decode(text.encode())
    return str(refused.value)


def test_a_new_exchange_has_a_file_with_every_value_written_out(tmp_path: Path) -> None:
    written = configuring.found(tmp_path)
    assert read_configuration(tmp_path) == written == Configuration(FIRST, TEXT.encode())
    assert all(setting.what and setting.takes for setting in SETTINGS)
    assert all(f"\n{setting.key} = " in TEXT for setting in SETTINGS)
    assert all(len(line) <= 120 for line in TEXT.splitlines())


@every
def test_a_value_that_is_missing_is_named(setting: Setting) -> None:
    assert refusal(said(setting, None)) == f"{NAME}: {setting.name} is missing; it takes {takes(setting)}"


@every
def test_a_value_that_is_empty_is_refused(setting: Setting) -> None:
    assert f"{NAME} is no TOML" in refusal(said(setting, ""))
    assert f'{setting.name} = "" is not {takes(setting)}' in refusal(said(setting, '""'))


@every
def test_garbage_is_named_with_what_it_should_have_been(setting: Setting) -> None:
    for value in GARBAGE[kind_of(setting)]:
        if setting.name in PATHS and value == '"a b"':
            continue
        found = refusal(said(setting, value))
        assert found.startswith(f"{NAME}: {setting.name} = "), found
        assert found.endswith(f" is not {takes(setting)}"), found


@every
def test_a_whole_number_has_a_range_that_is_said_and_kept(setting: Setting) -> None:
    if kind_of(setting) is not int:
        return
    least, most = (int(number) for number in re.findall(r"\d+", setting.takes))
    for value in (least, most):
        assert setting.of(decode(said(setting, str(value)).encode())) == value
    for value in (least - 1, most + 1):
        assert setting.name in refusal(said(setting, str(value)))


@every
def test_an_unknown_neighbour_is_named(setting: Setting) -> None:
    """A misspelt name must not leave the old value in force without a word."""
    text = said(setting, f"1\n{setting.key}s = 1")
    assert f"{setting.table}.{setting.key}s is nothing that there is; remove it" in refusal(text)


@pytest.mark.parametrize("text", ["", " ", "null", "{}", "[limits", "limits = 1", "\0", "[limits]"])
def test_what_is_no_such_file_at_all_is_refused(text: str, tmp_path: Path) -> None:
    """An empty list that was taken for an answer once turned away every client of another exchange."""
    (tmp_path / NAME).write_text(text)
    with pytest.raises(SettingsError, match=r"ringfence\.toml"):
        read_configuration(tmp_path)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    found = refusal(TEXT.replace("[limits]", "[limit]").replace("port = 8040", "port = 0"))
    assert "limit is nothing that there is" in found
    assert "gateway.port = 0 is not" in found
    assert found.count("limits.") == len(Settings().limits.__struct_fields__)


def test_no_file_or_one_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="`ringfence config found`"):
        read_configuration(tmp_path)
    (tmp_path / NAME).write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="no TOML"):
        read_configuration(tmp_path)
    (tmp_path / NAME).write_bytes(TEXT.encode() + b"#" * 40_000)
    with pytest.raises(SettingsError, match="at most 32768"):
        read_configuration(tmp_path)


def test_origins_are_a_list_of_origins() -> None:
    wanted = ("https://charts.example", "http://127.0.0.1:8000")
    settings = msgspec.structs.replace(FIRST, gateway=msgspec.structs.replace(FIRST.gateway, origins=wanted))
    assert decode(render(settings)).gateway.origins == wanted
    assert config_of(settings).origins == wanted


def test_a_number_is_of_every_byte_of_the_text() -> None:
    assert number_of(b"a") != number_of(b"b")
    assert 0 < number_of(TEXT.encode()) < 2**63
    assert in_words(number_of(TEXT.encode())) == f"{number_of(TEXT.encode()):016x}"
    assert in_words(0) == "none"
    assert text_refusal(number_of(b"a"), b"a") is None
    assert "the command is about" in str(text_refusal(1, b"a"))
    assert "1 to 32768 bytes" in str(text_refusal(number_of(b""), b""))


# ---- in force


def test_only_what_is_in_force_is_gone_by() -> None:
    written = Configuration(FIRST, TEXT.encode())
    check_in_force(written, in_force=0)
    check_in_force(written, in_force=written.number)
    with pytest.raises(SettingsError, match=f"{in_words(written.number)}, in force is {in_words(7)}"):
        check_in_force(written, in_force=7)


def test_a_copy_of_what_is_in_force_is_what_its_name_says(tmp_path: Path) -> None:
    text = TEXT.encode()
    number = number_of(text)
    assert number_in_force(tmp_path) == 0
    assert text_in_force(tmp_path, number) is None
    keep_text(tmp_path, text)
    note_in_force(tmp_path, number)
    assert (number_in_force(tmp_path), text_in_force(tmp_path, number)) == (number, text)
    assert configuration_in_force(tmp_path, number) == Configuration(FIRST, text)
    text_path(tmp_path, number).write_bytes(text + b"\n")
    assert text_in_force(tmp_path, number) is None
    (tmp_path / "configuration" / "in-force").write_text("")
    with pytest.raises(SettingsError, match="remove it"):
        number_in_force(tmp_path)


def test_the_core_goes_by_what_is_in_force_and_never_stays_away(tmp_path: Path) -> None:
    """Without a core nothing could be put in force: an operator would have locked themselves out."""
    slow = msgspec.structs.replace(FIRST, core=msgspec.structs.replace(FIRST.core, snapshot_commands=20_000))
    written, held = Configuration(FIRST, TEXT.encode()), Configuration(slow, render(slow))
    of_core = configuring.settings_of_core
    assert of_core(tmp_path, written, in_force=0) == FIRST
    assert of_core(tmp_path, written, in_force=held.number) == FIRST, "there is no copy of what is in force"
    assert of_core(tmp_path, held, in_force=held.number) == slow
    assert of_core(tmp_path, written, in_force=held.number) == slow, "the file is not in force"
    other = b"[a_setting_of_another_release]\n"
    keep_text(tmp_path, other)
    assert of_core(tmp_path, written, in_force=number_of(other)) == FIRST


def test_differences_are_lines() -> None:
    changed = TEXT.replace("requests_per_minute = 120", "requests_per_minute = 60")
    shown = differences(TEXT.encode(), changed.encode(), names=("in force", NAME))
    assert "-requests_per_minute = 120\n+requests_per_minute = 60" in shown
    assert differences(TEXT.encode(), TEXT.encode(), names=("a", "b")) == ""


# ---- older files


def test_older_files_become_the_one(tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text(
        '{"port": 9000, "public_host": null, "flush_milliseconds": 2.5, "history_url": null, '
        '"limits": {"orders_per_second": 3}}'
    )
    (tmp_path / "accounts").mkdir()
    (tmp_path / "accounts" / "rates.json").write_text('{"failures_of_user": 3}')
    (tmp_path / "fix.json").write_text('{"certificate": null, "messages_per_second": 7, "sessions_max": 9}')
    settings = configuring.found(tmp_path, **{"fix.port": 9100}).settings
    assert (settings.gateway.port, settings.gateway.public_host) == (9000, ANY)
    assert settings.gateway.flush_milliseconds == 2
    assert (settings.limits.orders_per_second, settings.limits.anonymous_requests_per_minute) == (3, 30)
    assert (settings.fix.port, settings.fix.certificate, settings.fix.messages_per_second) == (9100, NONE, 7)
    assert (settings.accounts.failures_of_user, settings.accounts.mails_of_person) == (3, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "accounts", "fix.json.moved", "gateway.json.moved", NAME,
    ]  # fmt: skip
    assert configuring.found(tmp_path, **{"gateway.port": 1}).settings == settings, (
        "what is there is not changed"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"core_directory": "/x"}', "--core-directory"),
        ('{"history_url": "sqlite:///x"}', "--history-url"),
        ('{"port": 0}', "gateway.port = 0 is not"),
        ('{"prot": 1}', "gateway.prot"),
    ],
)
def test_an_older_file_that_cannot_become_one_is_left_alone(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.json").write_text(text)
    with pytest.raises(SettingsError, match=why):
        configuring.found(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.json"]


def test_what_nobody_has_is_absent_for_a_gateway() -> None:
    assert FIRST.gateway.public_host == ANY
    assert config_of(FIRST).public_host is None
    assert FIRST.fix.certificate == NONE


def takes(setting: Setting) -> str:
    return f"{setting.takes}, {setting.unit}" if setting.unit else setting.takes
