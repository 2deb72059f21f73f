"""The feed: durable batches with their events, for everyone who builds a view.

A consumer tails files at its own pace, so a slow one holds nobody up; the core only sends a wake-up of
a few bytes. The files can be deleted: the core writes them again from the journal.

| module  | what is in it                                                |
|---------|--------------------------------------------------------------|
| segment | the layout of a feed file                                    |
| writer  | `FeedWriter`, used by the core alone                         |
| reader  | `FeedReader`: batches in order, from any sequence            |
| client  | `CoreClient`: sends commands to the core, hears its wake-ups |
"""

from ringfence.exchange.feed.client import CoreClient, encode_status
from ringfence.exchange.feed.reader import FeedReader
from ringfence.exchange.feed.writer import FeedWriter

__all__ = ["CoreClient", "FeedReader", "FeedWriter", "encode_status"]
