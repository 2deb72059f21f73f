"""Rate limits: what a bucket lets through, and that no key refills another's."""

import msgspec

from ringfence.configuration import Limits
from ringfence.exchange.bucket import Bucket
from ringfence.exchange.gateway.limits import Limiter
from ringfence.exchange.users.keys import ApiKey, KeyLimits
from ringfence.testing.venue import key_of


def test_a_bucket_lets_through_its_capacity_and_then_its_rate() -> None:
    bucket = Bucket(10, 1.0, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(11)] == [True] * 10 + [False]
    assert bucket.seconds_until(1) == 1
    assert [bucket.take(1, 0.25) for _ in range(3)] == [True, True, False]
    assert bucket.take(10, 100.0)
    assert not bucket.take(1, 100.0)


def test_two_keys_of_one_account_do_not_refill_each_other() -> None:
    limiter = Limiter(Limits())
    narrow = ApiKey(msgspec.structs.replace(key_of(1), limits=KeyLimits()))
    wide = ApiKey(msgspec.structs.replace(key_of(1), limits=KeyLimits(orders_per_second=200)))
    passed = 0
    for _ in range(50):
        bucket = limiter.orders(narrow, 0.0)
        assert bucket is not None
        passed += bucket.take(1, 0.0)
        limiter.orders(wide, 0.0)
    assert passed == 10
