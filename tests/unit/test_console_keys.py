"""Hardware keys: who may enrol one, what of an answer may be changed (nothing), what a key opens and for how long."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from ringfence.assurance.halting import People
from ringfence.chained_log import LogError, entries_of
from ringfence.console import texts
from ringfence.console.record import Record
from tests.unit.console_house import PEOPLE, SEATS, VENUE, HardwareKey, House, sign

NOT_THIS_TIME = "this hardware key opens nothing here, or not this time: try again"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = await House(tmp_path).begin()
    yield found
    await found.end()


@pytest.mark.parametrize("name", ["anna", "bert", "olga", "rosa"])
async def test_whoever_can_sign_enrols_and_signs_in(house: House, name: str) -> None:
    """Ed25519 and ECDSA on P-256, people of both lists."""
    cookie = await house.signed_in(name)
    who = (await house.get("session", cookie)).row["who"]
    assert who["seat"] == SEATS[name]
    assert [entry.kind for entry in house.record.newest] == ["key enrolled", "signed in"]


# ---- forged enrolments


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("anna", "bert"), ("anna", "eve"), ("eve", "eve"), ("olga", "rosa"), ("rosa", "olga"), ("anna", "olga"),
        ("shadow", "shadow"),
    ],
)  # fmt: skip
async def test_nobody_enrols_for_somebody_else_and_no_judge_at_all(house: House, name: str, by: str) -> None:
    reply = await house.post("key", await house.enrolment(name, HardwareKey(), by=by))
    assert reply.status == 401
    assert house.record.keys == {}
    assert [entry.kind for entry in house.record.newest] == ["turned away"]


async def test_an_enrolment_is_of_one_key_one_seat_one_challenge(house: House) -> None:
    said = await house.enrolment("anna", HardwareKey())
    other = await house.enrolment("anna", HardwareKey())
    for changed in (
        {"seat": SEATS["carl"]}, {"signature": other["signature"]}, {"answer": other["answer"]}, {"ticket": "x"},
        {"ticket": other["ticket"]}, {"signature": said["signature"][:-2]}, {"signature": "zz"},
    ):  # fmt: skip
        fresh = await house.enrolment("anna", HardwareKey())
        reply = await house.post("key", {**fresh, **changed})
        assert reply.status in (400, 401), changed
    assert house.record.keys == {}


async def test_an_enrolment_is_not_sent_twice(house: House) -> None:
    said = await house.enrolment("anna", HardwareKey())
    assert (await house.post("key", said)).status == 200
    assert (await house.post("key", said)).status == 400
    assert len(house.record.keys) == 1


async def test_a_key_that_is_enrolled_is_not_taken_over_by_another_seat(house: House) -> None:
    key = HardwareKey()
    assert (await house.post("key", await house.enrolment("anna", key))).status == 200
    assert (await house.post("key", await house.enrolment("bert", key))).status == 401
    assert house.record.keys[key.credential].seat == SEATS["anna"]


async def test_a_key_that_does_not_verify_its_person_is_not_enrolled(house: House) -> None:
    reply = await house.post("key", await house.enrolment("anna", HardwareKey(verifies_person=False)))
    assert reply.status == 400
    assert house.record.keys == {}


async def test_too_late_is_too_late(house: House) -> None:
    said = await house.enrolment("anna", HardwareKey())
    house.clock += 121
    assert (await house.post("key", said)).status == 400


# ---- forged logins


async def enrolled(house: House, name: str = "anna") -> HardwareKey:
    key = HardwareKey()
    assert (await house.post("key", await house.enrolment(name, key))).status == 200
    return key


async def test_no_field_of_an_answer_may_be_another(house: House) -> None:
    """Each byte string with one bit changed at its beginning, middle and end; each word replaced."""
    key = await enrolled(house)
    lengths = {name: len(text) for name, text in (await house.login(key))["answer"]["response"].items()}
    refused = 0
    for name in lengths:
        for place in (0, 0.5, 0.999):
            said = await house.login(key)
            raw = bytearray(base64url_to_bytes(said["answer"]["response"][name]))
            raw[int(place * len(raw))] ^= 1
            said["answer"]["response"][name] = bytes_to_base64url(bytes(raw))
            reply = await house.post("login", said)
            assert (reply.status, reply.row["error"]["message"]) == (401, NOT_THIS_TIME), (name, place)
            house.clock += 20
            refused += 1
        said = await house.login(key)
        del said["answer"]["response"][name]
        assert (await house.post("login", said)).status == 401, name
    for name, value in (
        ("id", "AAAA"),
        ("rawId", "AAAA"),
        ("type", "password"),
        ("response", {}),
        ("id", None),
    ):
        said = await house.login(key)
        said["answer"][name] = value
        assert (await house.post("login", said)).status == 401, name
        house.clock += 20
    assert refused == 12
    assert (await house.post("login", await house.login(key))).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "webauthn.create"), ("challenge", "AAAA"), ("origin", "http://localhost"), ("origin", "http://evil.test"),
        ("origin", "https://custody.localhost"),
    ],
)  # fmt: skip
async def test_an_answer_that_was_made_for_another_page_opens_nothing(
    house: House, field: str, value: str
) -> None:
    """The key has signed it: a page of another origin has asked, and relays what it got."""
    key = await enrolled(house)
    begun = (await house.post("login/begin")).row
    options = dict(begun["publicKey"])
    if field == "challenge":
        options["challenge"] = value
    answer = key.get(options, value if field == "origin" else house.origin)
    if field == "type":
        said = json.loads(base64url_to_bytes(answer["response"]["clientDataJSON"]))
        answer["response"]["clientDataJSON"] = bytes_to_base64url(
            json.dumps({**said, "type": value}).encode()
        )
    assert (await house.post("login", {"ticket": begun["ticket"], "answer": answer})).status == 401


async def test_an_answer_for_another_relying_party_opens_nothing(house: House) -> None:
    key = await enrolled(house)
    begun = (await house.post("login/begin")).row
    answer = key.get({**begun["publicKey"], "rpId": "localhost"}, house.origin)
    assert (await house.post("login", {"ticket": begun["ticket"], "answer": answer})).status == 401


async def test_a_challenge_is_good_once_and_for_two_minutes(house: House) -> None:
    key = await enrolled(house)
    said = await house.login(key)
    assert (await house.post("login", said)).status == 200
    assert (await house.post("login", said)).status == 401
    late = await house.login(key)
    house.clock += 121
    assert (await house.post("login", late)).status == 401


async def test_a_copy_of_a_key_is_seen_by_its_counter(house: House) -> None:
    key = await enrolled(house)
    for _ in range(3):
        assert (await house.post("login", await house.login(key))).status == 200
    key.count = 1
    assert (await house.post("login", await house.login(key))).status == 401


async def test_a_key_without_its_person_opens_nothing(house: House) -> None:
    key = await enrolled(house)
    key._flags = 0x01
    assert (await house.post("login", await house.login(key))).status == 401


async def test_a_stranger_learns_nothing_from_a_refusal(house: House) -> None:
    await enrolled(house)
    replies = [
        await house.post("login", await house.login(HardwareKey())),
        await house.post("login", {"ticket": "x", "answer": {}}),
        await house.post("login", {"ticket": "x", "answer": {"id": [], "response": 1}}),
    ]
    assert {(one.status, one.raw) for one in replies} == {(401, replies[0].raw)}
    known, unknown = [await house.post("key/begin", {"seat": SEATS[name]}) for name in ("anna", "eve")]
    assert known.row["publicKey"].keys() == unknown.row["publicKey"].keys()


# ---- for how long


async def removal(house: House, name: str, credential: str, by: str = "") -> dict[str, str]:
    begun = (await house.post("key/remove/begin")).row
    text = texts.removal(venue=VENUE, seat=SEATS[name], credential=credential, challenge=begun["challenge"])
    signature = sign(by or name, text)
    return {"ticket": begun["ticket"], "seat": SEATS[name], "credential": credential, "signature": signature}


async def test_a_lost_key_is_removed_without_it_and_its_sessions_end(house: House) -> None:
    key = await enrolled(house)
    cookie = (await house.post("login", await house.login(key))).headers["set-cookie"].partition(";")[0]
    for name, by in (("anna", "bert"), ("bert", "bert")):
        assert (await house.post("key/remove", await removal(house, name, key.credential, by))).status == 401
    assert (await house.get("requests", cookie)).status == 200
    said = await removal(house, "anna", key.credential)
    assert (await house.post("key/remove", said)).status == 200
    assert (await house.post("key/remove", said)).status == 400
    assert (await house.get("requests", cookie)).status == 401
    assert (await house.post("login", await house.login(key))).status == 401


async def test_who_is_not_on_the_list_any_more_is_out_at_once(house: House) -> None:
    cookie = await house.signed_in("olga")
    rest = People(tuple(one for one in PEOPLE.people if one.name != "olga"))
    house.sight.halts.people = (rest.number, rest.encode())
    assert (await house.get("requests", cookie)).status == 401
    house.sight.halts.people = (PEOPLE.number, PEOPLE.encode())
    assert (await house.get("requests", cookie)).status == 401  # the session is gone, whatever comes


async def test_a_restart_knows_the_keys_and_nobody_is_signed_in(house: House, tmp_path: Path) -> None:
    key = await enrolled(house)
    assert (await house.post("login", await house.login(key))).status == 200
    again = Record(house.path)
    assert again.keys[key.credential] == house.record.keys[key.credential]
    assert again.keys[key.credential].signed == 1
    again.close()


async def test_a_log_that_somebody_has_changed_lets_nobody_in(house: House, tmp_path: Path) -> None:
    await enrolled(house)
    await enrolled(house, "bert")
    lines = house.path.read_bytes().splitlines(keepends=True)
    for forged in (
        [lines[1]], [lines[1], lines[0]], [lines[0], lines[0], lines[1]],
        [lines[0].replace(SEATS["anna"].encode(), SEATS["carl"].encode()), lines[1]],
    ):  # fmt: skip
        path = tmp_path / "forged.jsonl"
        path.write_bytes(b"".join(forged))
        with pytest.raises(LogError):
            Record(path)


async def test_a_log_is_read_on_where_it_was_left_and_checked_across(house: House) -> None:
    for name in ("anna", "bert", "carl"):
        await enrolled(house, name)
    lines = house.path.read_bytes().splitlines(keepends=True)
    first, second, third = entries_of(b"".join(lines))
    assert list(entries_of(b"".join(lines[1:]), after=first)) == [second, third]
    assert list(entries_of(lines[2] + b'{"half', after=second)) == [third]
    for content, after in ((lines[2], first), (lines[1], second), (lines[0], third), (lines[1], third)):
        with pytest.raises(LogError):
            list(entries_of(content, after=after))
