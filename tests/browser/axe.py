"""What axe-core finds on a page that it was loaded into."""

from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


def serious(page: Any) -> list[str]:
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in result["violations"] if one["impact"] in ("serious", "critical") for node in one["nodes"]
    ]  # fmt: skip
