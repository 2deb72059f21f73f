"""The feed: durable batches with their events, for everyone who builds a view.

A consumer tails files at its own pace, so a slow one holds nobody up; the core only sends a wake-up of
a few bytes. The folder can be deleted while the core is stopped: it is written again from the journal.

| module  | what is in it                                                |
|---------|--------------------------------------------------------------|
| segment | the layout of a feed file                                    |
| writer  | `FeedWriter`, used by the core alone                         |
| reader  | `FeedReader`: batches in order, from any sequence            |
| client  | `CoreClient`: sends commands, hears wake-ups and what was shed |
"""

from ringfence.exchange.feed.client import CoreClient, Load, encode_sheds, encode_status
from ringfence.exchange.feed.reader import FeedReader, published_below
from ringfence.exchange.feed.writer import FILE_BYTES, FeedWriteError, FeedWriter, rewrite_feed, sync_feed

__all__ = [
    "FILE_BYTES", "CoreClient", "FeedReader", "FeedWriteError", "FeedWriter", "Load", "encode_sheds", "encode_status",
    "published_below", "rewrite_feed", "sync_feed",
]  # fmt: skip
