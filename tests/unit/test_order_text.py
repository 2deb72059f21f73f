"""What an order says of itself stays short, however often it is amended."""

from ringfence.exchange.projections.orders import TEXT_LENGTH_MAX, Order
from ringfence.instruments.catalogue import start_instruments
from ringfence.testing.play import START_NS


def order(text: str) -> Order:
    return Order(
        instrument=start_instruments(START_NS)[0], sequence=1, handle=1, account=1, flags=0, ordtype=0, px=10, qty=100,
        display=-1, clordid=None, text=text, timestamp_ns=START_NS,
    )  # fmt: skip


def test_the_same_words_twice_are_said_once() -> None:
    maker = order("Submitted via API.")
    for _ in range(10_000):
        maker.add_text("Amended: Amended via API.")
    maker.add_text("Canceled: Canceled via API.")
    assert maker.text == "Canceled: Canceled via API.\nAmended: Amended via API.\nSubmitted via API."


def test_the_oldest_words_fall_off() -> None:
    maker = order("Submitted via API.")
    for number in range(1_000):
        maker.add_text(f"Amended: for the {number}th time")
    assert maker.text.startswith("Amended: for the 999th time\nAmended: for the 998th time")
    assert len(maker.text) == TEXT_LENGTH_MAX
