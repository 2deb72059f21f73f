"""Writes what Ringfence is made of, from its lock files: a CycloneDX 1.5 document, the same for the same locks.

    python deploy/supply/sbom.py [FILE]      default: dist/ringfence.cdx.json

Nothing is asked of the network, and nothing but the locks is read: neither what happens to be installed nor when.
"""

import argparse
import base64
import json
import tomllib
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
LOCKS = (
    "uv.lock", "mpc-engine/Cargo.lock", "web/package-lock.json", "tests/browser/package-lock.json",
    "deploy/local/age/package-lock.json", "deploy/local/anvil/package-lock.json",
)  # fmt: skip
_IN_PAGES = ("web/package-lock.json", "deploy/local/age/package-lock.json")
"""What is built of these runs in browsers; the others are of tests and of the demonstration."""
_NAMESPACE = uuid.UUID("6f0d8a52-93c5-4a5e-8a8b-3c1f5b5b4f10")
_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512", "sha1": "SHA-1"}


class Part(NamedTuple):
    """One package at one version, as a lock file pins it."""

    ecosystem: str
    """pypi, cargo or npm, as in a package URL."""
    name: str
    version: str
    hashes: tuple[tuple[str, str], ...]
    """(algorithm, hexadecimal) of every file that may be taken; none = not pinned."""
    is_shipped: bool
    """Whether it runs in production; the others build or test."""
    licence: str
    lock: str

    @property
    def url(self) -> str:
        return f"pkg:{self.ecosystem}/{self.name.replace('@', '%40')}@{self.version}"


# ---- locks


def parts_of(root: Path = ROOT) -> list[Part]:
    """Return every part of every lock, in a fixed order. Raises OSError, ValueError."""
    found: list[Part] = []
    for lock in LOCKS:
        text = (root / lock).read_text()
        if lock.endswith(".json"):
            found += _npm(lock, json.loads(text))
        else:
            found += (_python if lock == "uv.lock" else _cargo)(lock, tomllib.loads(text))
    return sorted(set(found), key=lambda part: (part.ecosystem, part.name, part.version, part.lock))


def _python(lock: str, locked: dict[str, Any]) -> Iterator[Part]:
    shipped = _shipped(locked["package"])
    for package in locked["package"]:
        if "registry" in package["source"]:
            files = [*([package["sdist"]] if "sdist" in package else []), *package.get("wheels", [])]
            hashes = tuple(sorted(_split(file["hash"]) for file in files if "hash" in file))
            yield Part(
                "pypi", package["name"], package["version"], hashes, package["name"] in shipped, "", lock
            )


def _shipped(packages: list[dict[str, Any]]) -> set[str]:
    """Return the names that the exchange itself needs, with what can be chosen at its installation.

    One name may have several versions, for several versions of Python; all of them count.
    """
    (own,) = (package for package in packages if "registry" not in package["source"])
    chosen = [needed for extra in own.get("optional-dependencies", {}).values() for needed in extra]
    waiting, found, extras = [*own["dependencies"], *chosen], set[str](), set[tuple[str, str]]()
    while waiting:
        needed = waiting.pop()
        versions = [package for package in packages if package["name"] == needed["name"]]
        if needed["name"] not in found:
            found.add(needed["name"])
            waiting += [one for package in versions for one in package.get("dependencies", [])]
        for extra in needed.get("extra", ()):
            if (needed["name"], extra) not in extras:
                extras.add((needed["name"], extra))
                of_extra = [package.get("optional-dependencies", {}).get(extra, []) for package in versions]
                waiting += [one for some in of_extra for one in some]
    return found


def _cargo(lock: str, locked: dict[str, Any]) -> Iterator[Part]:
    for package in locked["package"]:
        if "source" in package:
            hashes = (("sha256", package["checksum"]),) if "checksum" in package else ()
            yield Part("cargo", package["name"], package["version"], hashes, True, "", lock)


def _npm(lock: str, locked: dict[str, Any]) -> Iterator[Part]:
    for place, package in locked["packages"].items():
        if place:
            name = package.get("name") or place.rpartition("node_modules/")[2]
            # What a page is built of runs in browsers; what lies in the folders of tests and of the demonstration not.
            is_shipped = not package.get("dev") and lock in (
                "web/package-lock.json",
                "deploy/local/age/package-lock.json",
            )
            hashes = tuple(sorted(_of_integrity(one) for one in package.get("integrity", "").split()))
            yield Part("npm", name, package["version"], hashes, is_shipped, package.get("license", ""), lock)


def _split(text: str) -> tuple[str, str]:
    algorithm, _, digest = text.partition(":")
    return algorithm, digest


def _of_integrity(text: str) -> tuple[str, str]:
    algorithm, _, digest = text.partition("-")
    return algorithm, base64.b64decode(digest).hex()


# ---- the document


def document(parts: list[Part]) -> dict[str, Any]:
    """Return the CycloneDX document of these parts: no time, no random number, nothing of this machine."""
    components = [_component(part) for part in parts]
    said = json.dumps(components, sort_keys=True)
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, said)}",
        "metadata": {"component": {"type": "application", "bom-ref": "ringfence", "name": "ringfence",
                                   "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": components,
    }  # fmt: skip


def _component(part: Part) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library", "bom-ref": f"{part.url}#{part.lock}", "name": part.name, "version": part.version,
        "purl": part.url, "scope": "required" if part.is_shipped else "excluded",
        "properties": [{"name": "ringfence:lock", "value": part.lock}],
    }  # fmt: skip
    if part.licence:
        component["licenses"] = [{"license": {"name": part.licence}}]
    if part.hashes:
        # Several files may be taken for one version, so that the hashes are those of places and not of the component.
        component["externalReferences"] = [
            {
                "type": "distribution",
                "url": part.url,
                "hashes": [{"alg": _ALGORITHMS[algorithm], "content": digest}],
            }
            for algorithm, digest in part.hashes
        ]
    return component


def main() -> None:
    parser = argparse.ArgumentParser(prog="sbom", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "dist" / "ringfence.cdx.json")
    given = parser.parse_args()
    parts = parts_of()
    given.file.parent.mkdir(parents=True, exist_ok=True)
    given.file.write_text(json.dumps(document(parts), indent=1, sort_keys=True) + "\n")
    for ecosystem, count in sorted(Counter(part.ecosystem for part in parts).items()):
        shipped = sum(part.is_shipped for part in parts if part.ecosystem == ecosystem)
        print(f"{ecosystem}: {count} packages, {shipped} of them shipped")
    print(f"written: {given.file}, {len(parts)} packages from {len(LOCKS)} lock files")


if __name__ == "__main__":
    main()
