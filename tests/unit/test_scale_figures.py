"""What computes the figures of the scale report, and what writes them."""

import numpy as np
import pytest
from benchmarks import crowd, failures, scale
from benchmarks.scale_page import escape, figure_text, table

from ringfence.testing.measure import percentile


@pytest.mark.parametrize(
    ("values", "point", "expected"),
    [([5.0], 99, 5.0), (list(range(1, 101)), 99, 99), (list(range(1, 101)), 50, 50), ([3.0, 1.0, 2.0], 50, 2.0),
     (list(range(1, 11)), 99, 10)],
)  # fmt: skip
def test_a_percentile_is_a_value_that_was_measured(
    values: list[float], point: float, expected: float
) -> None:
    assert percentile(values, point) == expected


def test_a_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 99)


def test_a_cost_for_each_order_is_of_what_was_used_meanwhile() -> None:
    cost = scale.per_order({"core": 1.0, "gateway": 2.0}, {"core": 1.5, "gateway": 4.0}, 1_000)
    assert cost == {"core": 500.0, "gateway": 2_000.0}
    with pytest.raises(ValueError, match="no order was taken"):
        scale.per_order({"core": 1.0}, {"core": 1.5}, 0)


def test_gateways_own_and_following_time_are_told_apart() -> None:
    found = scale.fit([1, 2, 3, 4], [20 + 5 * count for count in (1, 2, 3, 4)])
    assert found == pytest.approx((20, 5))


def test_the_slowest_process_is_the_bound() -> None:
    line = scale.Fit(own=20, follow=5)
    assert scale.ceiling(line, 4, 1) == pytest.approx(40_000)
    assert scale.ceiling(line, 4, 4) == pytest.approx(100_000)
    assert scale.ceiling(line, 50, 4) == pytest.approx(20_000)
    assert scale.ceiling(line, 4, 10_000) < 200_000


def test_the_longest_silence_is_between_two_answers() -> None:
    assert failures.longest_silence([9.0, 10.1, 10.2, 12.0, 12.1], since=10.0) == pytest.approx(1.8)
    assert failures.longest_silence([9.0], since=10.0) == 0


@pytest.mark.parametrize(("clients", "gateways"), [(1_000, 4), (68_000, 4), (68_001, 5), (100_000, 6)])
def test_a_crowd_has_gateways_enough(clients: int, gateways: int) -> None:
    assert crowd.groups(clients) == gateways
    parts = crowd.shares(clients, gateways)
    assert sum(parts) == clients
    assert max(parts) - min(parts) <= 1
    assert max(parts) <= crowd.EACH_MAX


def test_a_crowd_grows_in_steps_to_what_was_asked_for() -> None:
    assert crowd.steps_to(500) == (500,)
    assert crowd.steps_to(10_000) == (1_000, 10_000)
    assert crowd.steps_to(30_000) == (1_000, 10_000, 25_000, 30_000)


def test_sizes_of_trades_are_read_without_those_of_the_partial() -> None:
    partial = b'\x81\x10{"table":"trade","action":"partial","data":[{"size":700}]}'
    insert = b'\x81\x10{"table":"trade","action":"insert","data":[{"symbol":"XBTUSD","size":%d,"price":1}]}'
    assert list(crowd.sizes_in(partial)) == []
    assert list(crowd.sizes_in(partial + insert % 1_200 + insert % 100)) == [1_200, 100]
    assert list(crowd.sizes_in(b"")) == []


def test_a_report_escapes_what_it_is_told() -> None:
    assert escape('<b a="1">&') == "&lt;b a=&quot;1&quot;&gt;&amp;"
    found = table(("<head>",), [("<script>", 1234.5)])
    assert "<script>" not in found
    assert "<head>" not in found
    assert "<td>1,234</td>" in found


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (250, "250"), (float("nan"), "-")],
)
def test_figures_have_three_digits_that_mean_something(value: float, expected: str) -> None:
    assert figure_text(value) == expected


def test_a_point_adds_up_its_processes() -> None:
    point = scale.Point("R3", 2, 1, 10, 10, 0, np.array([0.001]), {"core": 2.5, "gateway": 20.0})
    assert point.total_us == 22.5
