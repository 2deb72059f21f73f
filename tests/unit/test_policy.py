"""The policy, rule by rule: what is allowed, and the one change by which each rule denies it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.custody.clients import ClientStanding
from ringfence.custody.intents import Approval, Intent, Kind
from ringfence.custody.policy import (
    Case,
    ClientFacts,
    DecodedTransaction,
    Facts,
    LedgerEntry,
    Output,
    Policy,
    PolicyError,
    Rule,
    Signed,
    SignedPolicy,
    Unsigned,
    check_change,
    decide,
    waits_for,
)
from ringfence.custody.policy.policy import NS_PER_HOUR, Tier, Window, compare, tier_of
from ringfence.custody.policy.rules import RULES
from ringfence.units.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_SECOND

NOW = 20_000 * NS_PER_DAY + 12 * NS_PER_HOUR
DESTINATION, CHANGE = "bcrt1qdestination", "bcrt1qchange"

POLICY = Policy(
    version=1, chain="regtest", kinds=(Kind.WITHDRAWAL, "another"), asset="XBt", cap=10**9,
    per_account=(Window(24, 5 * 10**8, 10),), per_destination=(Window(24, 4 * 10**8, 5),),
    whole_exchange=(Window(1, 10**9, 50), Window(24, 5 * 10**9, 500)), wallet_share_ppm=200_000,
    allow_list_delay_hours=24, first_use_cap=10**7, unsigned_max=20_000_000, unsigned=(Window(24, 10**8, 2),),
    tiers=(Tier(0, 0, 0, 0), Tier(10**7, 1, 1, 0), Tier(10**8, 2, 2, 4)),
    closed_hours_utc=(3,), fee_max=100_000, fee_ppm_max=20_000, fee_rate_times_max=3, hot_max=10**8,
    approval_minutes_max=60, evidence_seconds_max=120, cool_down_hours=24, reconciled_minutes_max=20,
    change_delay_hours=48,
)  # fmt: skip
INTENT = Intent(
    id="11", kind=Kind.WITHDRAWAL, chain="regtest", asset="XBt", owner="client", account=7, destination=DESTINATION,
    amount=20_000_000, fee_max=20_000, requested_ns=NOW - NS_PER_HOUR, expires_ns=NOW + NS_PER_DAY,
    requested_by="trader-7",
)  # fmt: skip
APPROVALS = (Approval("anna", "operations", INTENT.digest, NOW - NS_PER_MINUTE),)
EARLIER = Signed(NOW - 30 * NS_PER_HOUR, "00", "w0", 7, DESTINATION, 10**6, ("aa:0",))
TRANSACTION = DecodedTransaction(
    ("cc:0", "dd:1"), ("client", "client"),
    (Output(DESTINATION, 20_000_000, ""), Output(CHANGE, 9_998_000, "client")), 2_000, "XBt", (), (0,),
)  # fmt: skip
OLDER = Unsigned("10", NOW - 2 * NS_PER_HOUR, 80_000_000)
CLIENT = ClientStanding(None, False, NOW - 25 * NS_PER_HOUR, NOW - 25 * NS_PER_HOUR)
LOCKED = LedgerEntry(7, "XBt", 20_000_000, DESTINATION, "locked")
FACTS = Facts(
    now_ns=NOW, transaction=TRANSACTION, ledger={"11": LOCKED},
    liabilities=9 * 10**8, held=10**9, wallet=10**9, hot=0, signed=(EARLIER,),
    clients={"11": CLIENT}, unsigned=(OLDER,), held_accounts=frozenset({9}),
    own_addresses=frozenset({CHANGE, "bcrt1qdeposit"}), screened={DESTINATION: True},
    fee_due=1_180, company_fees=0, dead=frozenset(), nominated=frozenset({"ops-1", "ops-2", "policy-1"}), me="ops-1",
    evidence_age_ns=10 * NS_PER_SECOND, is_frozen=False, last_reconciled_ns=NOW - 5 * NS_PER_MINUTE,
)  # fmt: skip
CLIENTS = ClientFacts(**{name: getattr(FACTS, name) for name in ClientFacts._fields})
MANY = tuple(EARLIER._replace(at_ns=NOW - 1, id=f"x{k}", destination=f"y{k}", amount=1) for k in range(10))
PAID_BEFORE = Signed(NOW - 1, INTENT.digest, "11", 7, DESTINATION, 20_000_000, ("ee:0",))
BERT = msgspec.structs.replace(APPROVALS[0], person="bert")
CASE = Case(INTENT, APPROVALS, FACTS, POLICY)


def _with(*, facts: dict[str, Any] | None = None, intent: dict[str, Any] | None = None, **other: Any) -> Case:
    """Return the case with something changed; the approvals follow the intent, as those of honest people do."""
    changed = msgspec.structs.replace(INTENT, **(intent or {}))
    approvals = tuple(msgspec.structs.replace(one, digest=changed.digest) for one in APPROVALS)
    return CASE._replace(
        **{"intent": changed, "approvals": approvals, "facts": FACTS._replace(**(facts or {})), **other}
    )


def _policy(**changes: Any) -> Policy:
    return msgspec.structs.replace(POLICY, **changes)


def _client(**changes: Any) -> Case:
    return _with(facts={"clients": {"11": CLIENT._replace(**changes)}})


def _denied_by(case: Case) -> list[str]:
    return [verdict.rule for verdict in decide(case).verdicts if not verdict.allows]


def _after(**moved: Any) -> dict[str, Any]:
    """Return that something else was signed a moment ago."""
    return {"signed": (EARLIER, EARLIER._replace(**{"at_ns": NOW - 1, "id": "x", **moved}))}


def _paying(*outputs: Output, **other: Any) -> dict[str, Any]:
    return {"transaction": TRANSACTION._replace(outputs=outputs, **other)}


def test_no_rule_is_missing() -> None:
    of_contracts_and_changes = {12, 16, 18, 19}
    assert [rule.id for rule in RULES] == [
        f"P{number}" for number in range(1, 30) if number not in of_contracts_and_changes
    ]


def test_a_movement_that_every_rule_likes_is_allowed_with_every_verdict() -> None:
    decision = decide(CASE)
    assert decision.allows, decision.reasons
    assert [verdict.rule for verdict in decision.verdicts] == [rule.id for rule in RULES]
    assert (decision.policy, decision.intent) == (POLICY.digest, INTENT.digest)


def test_what_waits_for_people_or_time_is_not_put_before_anybody_yet() -> None:
    assert waits_for(INTENT, APPROVALS, POLICY, CLIENTS, now_ns=NOW) == ""
    assert "P6: 0 people" in waits_for(INTENT, (), POLICY, CLIENTS, now_ns=NOW)
    stale = tuple(msgspec.structs.replace(one, at_ns=NOW - 61 * NS_PER_MINUTE) for one in APPROVALS)
    assert "P6: 0 people" in waits_for(INTENT, stale, POLICY, CLIENTS, now_ns=NOW)
    slow = _policy(tiers=(Tier(0, 0, 0, 2),))
    assert "P8" in waits_for(INTENT, APPROVALS, slow, CLIENTS, now_ns=INTENT.requested_ns + NS_PER_HOUR)
    assert waits_for(INTENT, APPROVALS, slow, CLIENTS, now_ns=INTENT.requested_ns + 2 * NS_PER_HOUR) == ""
    closed = _policy(closed_hours_utc=tuple(range(24)))
    assert "P7" in waits_for(INTENT, APPROVALS, closed, CLIENTS, now_ns=NOW)


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        (_with(policy=_policy(cap=19_999_999)), "P1"),
        (_with(facts=_after(destination="y", amount=481 * 10**6)), "P2"),
        (_with(facts=_after(account=8, amount=381 * 10**6)), "P2"),
        (_with(facts=_after(account=8, destination="y", amount=981 * 10**6)), "P2"),
        (_with(facts={"signed": (EARLIER, *MANY)}), "P2"),
        (_with(facts={"wallet": 99_999_999}), "P3"),
        (_with(facts={"clients": {}}), "P4"),
        (_with(facts={"clients": {"12": CLIENT}}), "P27"),
        (_with(facts={"clients": {"12": CLIENT}}), "P29"),
        (_client(listed_since_ns=NOW - 23 * NS_PER_HOUR), "P4"),
        (_client(listed_since_ns=None), "P4"),
        (_with(facts={"signed": ()}), "P5"),
        (_with(approvals=()), "P6"),
        (_with(approvals=(APPROVALS[0], BERT), policy=_policy(tiers=(Tier(0, 2, 2, 0),))), "P6"),
        (_with(facts={"now_ns": NOW + 15 * NS_PER_HOUR}), "P7"),
        (_with(policy=_policy(tiers=(Tier(0, 1, 1, 2),))), "P8"),
        (_with(facts={"own_addresses": frozenset({DESTINATION})}), "P9"),
        (_with(facts={"screened": {DESTINATION: False}}), "P9"),
        (_with(facts={"screened": {}}), "P9"),
        (_with(policy=_policy(asset="USDt")), "P10"),
        (_with(policy=_policy(kinds=(Kind.REFILL,))), "P10"),
        (_with(policy=_policy(chain="main")), "P10"),
        (_with(facts=_paying(*TRANSACTION.outputs, fee=3 * 1_180 + 1)), "P13"),
        (_with(facts=_paying(*TRANSACTION.outputs, fee=2_000), intent={"fee_max": 1_999}), "P13"),
        (_with(facts=_paying(*TRANSACTION.outputs, fee=-1)), "P13"),
        (_with(facts=_paying(Output(DESTINATION, 20_000_000, ""), Output("bcrt1qthief", 9_998_000, ""))), "P14"),
        (_with(facts=_paying(Output(DESTINATION, 20_000_000, ""), Output(CHANGE, 9_998_000, "insurance"))), "P14"),
        (_with(facts=_paying(*TRANSACTION.outputs, input_owners=("client", "insurance"))), "P14"),
        (_with(facts=_paying(*TRANSACTION.outputs, input_owners=("client", ""))), "P14"),
        (_with(facts=_paying(Output(DESTINATION, 19_999_999, ""), Output(CHANGE, 9_998_001, "client"))), "P15"),
        (_with(facts=_paying(Output(DESTINATION, 20_000_000, ""), Output(DESTINATION, 9_998_000, ""))), "P15"),
        (_with(facts=_paying(*TRANSACTION.outputs, sighash_types=(2,))), "P15"),
        (_with(facts=_paying(*TRANSACTION.outputs, sighash_types=(0x81,))), "P15"),
        (_with(facts={"me": "anna"}), "P17"),
        (_with(intent={"requested_by": "anna"}), "P17"),
        (_with(facts={"ledger": {}}), "P21"),
        (_with(facts={"ledger": {"11": LOCKED._replace(state="paid")}}), "P21"),
        (_with(facts={"ledger": {"11": LOCKED._replace(account=8)}}), "P21"),
        (_with(facts={"ledger": {"11": LOCKED._replace(amount=20_000_001)}}), "P21"),
        (_with(facts={"held": 9 * 10**8 - 1}), "P21"),
        (_with(facts={"signed": (EARLIER, PAID_BEFORE)}), "P22"),
        (_with(facts={"signed": (EARLIER, PAID_BEFORE._replace(intent="other", inputs=("cc:0",)))}), "P22"),
        (_with(intent={"expires_ns": NOW}), "P23"),
        (_with(intent={"requested_ns": NOW + 1}), "P23"),
        (_with(approvals=(msgspec.structs.replace(APPROVALS[0], at_ns=NOW - 61 * NS_PER_MINUTE),)), "P23"),
        (_with(approvals=(msgspec.structs.replace(APPROVALS[0], digest="00"),)), "P23"),
        (_with(facts={"me": "ops-3"}), "P24"),
        (_with(facts={"evidence_age_ns": 121 * NS_PER_SECOND}), "P25"),
        (_with(facts={"is_frozen": True}), "P26"),
        (_with(facts={"last_reconciled_ns": NOW - 21 * NS_PER_MINUTE}), "P26"),
        (_client(key_changed_ns=NOW - 23 * NS_PER_HOUR), "P27"),
        (_with(facts={"held_accounts": frozenset({7})}), "P28"),
        (_client(is_signed=False), "P29"),
        (_with(policy=_policy(unsigned_max=19_999_999)), "P29"),
        (_with(policy=_policy(unsigned=(Window(24, 99_999_999, 9),))), "P29"),
        (_with(policy=_policy(unsigned=(Window(24, 10**9, 1),))), "P29"),
    ],
)  # fmt: skip
def test_one_change_and_its_rule_denies(case: Case, rule: str) -> None:
    assert rule in _denied_by(case)
    assert not decide(case).allows


def test_without_a_withdrawal_key_people_look_and_time_frees_the_window() -> None:
    cleo = Approval("cleo", "risk", INTENT.digest, NOW - NS_PER_MINUTE)
    dora = Approval("dora", "operations", INTENT.digest, NOW - NS_PER_MINUTE)
    small = _policy(unsigned_max=1)
    assert _denied_by(_with(approvals=(*APPROVALS, dora), policy=small)) == ["P29"]
    assert _denied_by(_with(approvals=(*APPROVALS, cleo), policy=small)) == []
    signed = CLIENT._replace(is_signed=True)
    assert _denied_by(_with(facts={"clients": {"11": signed}}, policy=small)) == ["P29"], (
        "a new key is not enough"
    )
    assert _denied_by(_with(facts={"clients": {"11": signed._replace(is_trusted=True)}}, policy=small)) == []
    window = _policy(unsigned=(Window(2, 10**8 - 1, 9),))
    assert _denied_by(_with(policy=window)) == []
    later = OLDER._replace(id="12", at_ns=INTENT.requested_ns)
    assert _denied_by(_with(facts={"unsigned": (later,)}, policy=window)) == []
    assert "P29" in _denied_by(_with(facts={"unsigned": (later._replace(id="10"),)}, policy=window))


def test_a_client_who_has_not_signed_is_not_helped_by_people() -> None:
    cleo = Approval("cleo", "risk", INTENT.digest, NOW - NS_PER_MINUTE)
    assert _denied_by(
        _with(approvals=(*APPROVALS, cleo), facts={"clients": {"11": CLIENT._replace(is_signed=False)}})
    ) == ["P29"]


def test_a_refill_stays_below_the_ceiling() -> None:
    policy = _policy(kinds=(Kind.REFILL,))
    intent = {"kind": Kind.REFILL, "destination": CHANGE, "account": 0}
    assert "P20" not in _denied_by(_with(intent=intent, policy=policy))
    assert "P20" in _denied_by(_with(intent=intent, policy=policy, facts={"hot": 80_000_001}))


@pytest.mark.parametrize(("fee", "is_over"), [(1_181, False), (1_182, True)])
def test_a_small_payment_may_cost_what_a_confirmation_costs_rounded_up_as_it_is_built(
    fee: int, is_over: bool
) -> None:
    """A share of the amount would be 200."""
    facts = {**_paying(Output(DESTINATION, 10_000, ""), fee=fee), "fee_due": 1_181}
    assert ("P13" in _denied_by(_with(facts=facts))) is is_over


SWEEP = {"kind": Kind.SWEEP, "destination": CHANGE, "account": 0, "amount": 50_000_000, "fee_max": 0}
SWEPT = {**_paying(Output(CHANGE, 50_000_000, "client"), fee=2_000), "company_fees": 2_000, "ledger": {}}
SWEEPING = _policy(kinds=(Kind.SWEEP,))


def test_what_stays_ours_needs_no_client_and_no_approval() -> None:
    assert _denied_by(_with(intent=SWEEP, facts=SWEPT, policy=SWEEPING, approvals=())) == []


@pytest.mark.parametrize(
    ("intent", "facts", "rule"),
    [
        ({}, {"company_fees": 1_999}, "P13"),
        ({}, {"company_fees": None}, "P13"),
        ({}, _paying(Output(CHANGE, 50_000_000, "client"), fee=100_001), "P13"),
        ({}, _paying(Output(CHANGE, 50_000_000, "client"), fee=3 * 1_180 + 1), "P13"),
        ({"destination": DESTINATION}, _paying(Output(DESTINATION, 50_000_000, ""), fee=2_000), "P9"),
        ({}, _paying(Output(CHANGE, 50_000_000, "insurance"), Output("x", 1, ""), fee=2_000), "P14"),
        ({}, {"held": 8 * 10**8}, "P21"),
        ({}, {"signed": tuple(EARLIER._replace(account=0, id=f"s{k}") for k in range(500))}, "P2"),
        ({}, _paying(Output(CHANGE, 50_000_000, "client"), fee=2_000, calls=("approve",)), "P11"),
    ],
)  # fmt: skip
def test_what_stays_ours_is_denied_all_the_same_by(
    intent: dict[str, Any], facts: dict[str, Any], rule: str
) -> None:
    case = _with(intent={**SWEEP, **intent}, facts={**SWEPT, **facts}, policy=SWEEPING, approvals=())
    assert rule in _denied_by(case)


def test_a_token_is_paid_for_by_the_company() -> None:
    token = _paying(Output(DESTINATION, 20_000_000, ""), fee=2_000, fee_asset="Gwei", calls=("transfer",))
    assert "P13" in _denied_by(_with(facts=token))
    assert _denied_by(_with(facts={**token, "company_fees": 2_000}, intent={"fee_max": 0})) == []


def test_another_payment_may_follow_one_that_can_never_come_any_more() -> None:
    before = {"signed": (EARLIER, PAID_BEFORE)}
    assert "P22" in _denied_by(_with(facts=before))
    assert "P22" in _denied_by(_with(facts={**before, "dead": frozenset({"ff:0"})}))
    assert "P22" not in _denied_by(_with(facts={**before, "dead": frozenset({"ee:0"})}))
    assert "P22" in _denied_by(_with(facts={**before, "dead": None}))


@pytest.mark.parametrize(
    ("account", "is_change", "is_denied"),
    [(7, False, False), (8, False, True), (7, True, True), (0, False, True)],
)
def test_only_the_housekeeper_pays_to_an_address_of_ours_and_none_for_change(
    account: int, is_change: bool, is_denied: bool
) -> None:
    facts = _paying(Output("bcrt1qdeposit", 20_000_000, "client" if is_change else ""))
    case = _with(intent={"destination": "bcrt1qdeposit", "account": account}, facts=facts)
    assert ("P9" in _denied_by(case._replace(policy=_policy(housekeeper=7)))) is is_denied
    assert "P9" in _denied_by(case)


def test_a_higher_fee_for_the_same_payment_is_allowed_if_it_spends_the_same_coin() -> None:
    before = Signed(NOW - 1, INTENT.digest, "11", 7, DESTINATION, 20_000_000, ("cc:0", "ff:3"))
    assert _denied_by(_with(facts={"signed": (EARLIER, before)})) == []


NOT_ALWAYS_LOOKED_AT = ("now_ns", "me", "hot", "company_fees", "dead")


@pytest.mark.parametrize("name", [name for name in Facts._fields if name not in NOT_ALWAYS_LOOKED_AT])
def test_a_fact_that_is_not_known_denies(name: str) -> None:
    decision = decide(_with(facts={name: None}))
    assert not decision.allows
    assert any("not known" in reason for reason in decision.reasons)


def test_a_rule_that_fails_denies_and_without_rules_nothing_is_allowed() -> None:
    def fails(case: Case) -> tuple[bool, str]:
        raise ZeroDivisionError("oops")

    def vague(case: Case) -> tuple[bool, str]:
        return 1, "truthy is not true"  # type: ignore[return-value]

    for look in (fails, vague):
        assert not decide(CASE, (*RULES, Rule("PX", "", look))).allows
    assert not decide(CASE, ()).allows


@given(st.data())
def test_adding_a_rule_never_allows_more(data: st.DataObject) -> None:
    amount = data.draw(st.integers(-5, 3 * 10**9))
    chosen = data.draw(st.lists(st.sampled_from(RULES), min_size=1, unique=True))
    more = [*chosen, data.draw(st.sampled_from(RULES))]
    case = _with(intent={"amount": amount})
    assert decide(case, chosen).allows or not decide(case, more).allows


def test_the_digest_of_an_intent_names_every_field() -> None:
    digests = {INTENT.digest}
    for name, value in (
        ("id", "w2"), ("kind", Kind.REFILL), ("chain", "main"), ("asset", "USDt"), ("owner", "company"), ("account", 8),
        ("destination", "x"), ("amount", 1), ("fee_max", 1), ("requested_ns", 1), ("expires_ns", 1),
        ("requested_by", "x"), ("source", "y"),
    ):  # fmt: skip
        digests.add(msgspec.structs.replace(INTENT, **{name: value}).digest)
    assert len(digests) == len(Intent.__struct_fields__) + 1


# ---- changes of the policy itself

TWO = (("anna", "operations"), ("bert", "risk"))


def _signed(signers: tuple[tuple[str, str], ...], announced_ns: int, **changes: Any) -> SignedPolicy:
    return SignedPolicy(msgspec.structs.replace(POLICY, version=2, **changes), signers, announced_ns)


def test_one_person_tightens_at_once_two_loosen_after_the_delay() -> None:
    check_change(POLICY, _signed(TWO[:1], NOW, cap=1), now_ns=NOW)
    loosens = {"cap": 2 * 10**9}
    with pytest.raises(PolicyError, match="two people of different roles"):
        check_change(POLICY, _signed(TWO[:1], 0, **loosens), now_ns=NOW)
    with pytest.raises(PolicyError, match="two people of different roles"):
        check_change(POLICY, _signed((TWO[0], ("cleo", "operations")), 0, **loosens), now_ns=NOW)
    with pytest.raises(PolicyError, match="48 h later"):
        check_change(POLICY, _signed(TWO, NOW - 47 * NS_PER_HOUR, **loosens), now_ns=NOW)
    check_change(POLICY, _signed(TWO, NOW - 48 * NS_PER_HOUR, **loosens), now_ns=NOW)


@pytest.mark.parametrize(
    ("changes", "is_tighter"),
    [
        ({"cap": 1}, True), ({"fee_max": 10**6}, False), ({"allow_list_delay_hours": 48}, True),
        ({"allow_list_delay_hours": 1}, False), ({"kinds": (Kind.WITHDRAWAL,)}, True),
        ({"kinds": (Kind.WITHDRAWAL, Kind.REFILL)}, False), ({"closed_hours_utc": (3, 4)}, True),
        ({"closed_hours_utc": ()}, False), ({"per_account": (Window(24, 1, 1),)}, True),
        ({"per_account": ()}, False), ({"per_account": (Window(1, 5 * 10**8, 10),)}, False),
        ({"tiers": (Tier(0, 3, 2, 9),)}, True), ({"tiers": (Tier(0, 3, 2, 0),)}, False),
        ({"tiers": (*POLICY.tiers, Tier(10**9, 0, 0, 0))}, False), ({"change_delay_hours": 1}, False),
    ],
)  # fmt: skip
def test_what_is_tighter_is_known_field_by_field(changes: dict[str, Any], is_tighter: bool) -> None:
    amendment = compare(POLICY, msgspec.structs.replace(POLICY, **changes))
    assert bool(amendment.loosens) != is_tighter
    assert bool(amendment.tightens) == is_tighter


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (SignedPolicy(POLICY, TWO, 0), "cannot follow"),
        (_signed((), 0, cap=1), "nobody has signed"),
        (_signed(TWO, 0, chain="main"), "another chain"),
        (_signed(TWO, 0, tiers=()), "first tier"),
        (_signed(TWO, 0, tiers=(Tier(5, 0, 0, 0),)), "first tier"),
    ],
)
def test_a_version_that_makes_no_sense_never_comes_into_force(new: SignedPolicy, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        check_change(POLICY, new, now_ns=NOW)


def test_an_amount_that_no_tier_holds_is_an_error_and_so_a_denial() -> None:
    with pytest.raises(PolicyError):
        tier_of((Tier(5, 0, 0, 0),), 4)
