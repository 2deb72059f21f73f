"""The rules, one a file. P11, P12 and P16 are of chains with contracts; P18 and P19 are `policy.check_change`."""

from ringfence.custody.policy.rule import Rule
from ringfence.custody.policy.rules import (
    p01_amount_cap,
    p02_velocity,
    p03_wallet_share,
    p04_allow_list,
    p05_first_use,
    p06_four_eyes,
    p07_hours,
    p08_time_lock,
    p09_destination,
    p10_kind,
    p13_fee,
    p14_change,
    p15_bytes,
    p17_roles,
    p20_hot_ceiling,
    p21_ledger,
    p22_once,
    p23_expiry,
    p24_nomination,
    p25_evidence,
    p26_kill_switch,
    p27_cool_down,
    p28_holds,
)

RULES: tuple[Rule, ...] = tuple(
    module.RULE
    for module in (
        p01_amount_cap,
        p02_velocity,
        p03_wallet_share,
        p04_allow_list,
        p05_first_use,
        p06_four_eyes,
        p07_hours,
        p08_time_lock,
        p09_destination,
        p10_kind,
        p13_fee,
        p14_change,
        p15_bytes,
        p17_roles,
        p20_hot_ceiling,
        p21_ledger,
        p22_once,
        p23_expiry,
        p24_nomination,
        p25_evidence,
        p26_kill_switch,
        p27_cool_down,
        p28_holds,
    )
)
"""All of them; the strictest holds."""
