"""Writes the hashes of style and script into the verifier's policy: `python src/ringfence/assurance/proofs/seal.py`.

The policy lets run what has exactly these hashes, so every change of the page needs this once; a test says so.
"""

import base64
import hashlib
import re
from pathlib import Path

PAGE = Path(__file__).with_name("verifier.html")


def sealed(text: str) -> str:
    """Return the page with the hashes that its own style and script have."""
    for directive, element in (("style-src", "style"), ("script-src", "script")):
        inside = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert len(inside) == 1, f"one <{element}> without attributes"
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        text, count = re.subn(rf"{directive} 'sha256-[^']*'", f"{directive} 'sha256-{digest}'", text)
        assert count == 1, directive
    return text


if __name__ == "__main__":
    PAGE.write_text(sealed(PAGE.read_text()))
