"""What a running exchange tells those who watch it: metrics, health, logs and traces. Nothing decides anything by it.

| file    | what is in it                                                                        |
|---------|--------------------------------------------------------------------------------------|
| metrics | the one table of names, types, units, labels and help; docs/reference/metrics.md     |
| samples | a value of a metric, the histogram with fixed buckets, the text that Prometheus reads |
| page    | `/metrics`, `/health` and `/ready` of one process, on its own Unix socket            |
| gather  | all pages of a directory as one                                                      |
| logs    | lines of JSON without secrets                                                        |
| traces  | a request's way through the gateway as OpenTelemetry spans, off by default           |

The engine and what it is made of never import it. A process that works in a loop counts with plain integers; text
is made when somebody asks.
"""

from ringfence.monitoring import metrics
from ringfence.monitoring.logs import set_up_logs
from ringfence.monitoring.page import Page, serving, socket_of
from ringfence.monitoring.samples import Histogram, Sample

__all__ = ["Histogram", "Page", "Sample", "metrics", "serving", "set_up_logs", "socket_of"]
