"""The prover hangs, and co-signers show nothing: a proof is withheld in public, and comes when both are put right."""

import json
import os
import signal
from pathlib import Path

from staging import Runbook, Trader, Watch, deposited, main, pid_of, ringfence, until, with_custody
from tests.e2e.test_custody import XBT, custody

from ringfence.custody.demonstration import PEOPLE
from ringfence.monitoring import metrics


def run(book: Runbook, folder: Path) -> None:
    with with_custody(folder) as up:
        directory, there = up.directory, ("--directory", str(up.directory))
        until(lambda: _report(directory).get("snapshot"), "the first proof is published", seconds=180)
        # Where no coins lie, nobody has to show that their keys are there.
        deposited(Trader(up.url, up.key("demo-2")), XBT, directory)
        watch = Watch(directory)
        watch.until(lambda page: page.value(metrics.PROOF_RED) == 0, "the prover is content")
        book.check(
            ringfence("proofs", "status", *there).returncode == 0, "`ringfence proofs status` is content"
        )
        book.step("the co-signers are frozen: nobody shows that the keys are there")
        custody("freeze", "--because", "looking", *there)
        done = ringfence("proofs", "publish", "--seconds", "20", *there)
        book.check(done.returncode != 0, "no proof comes")
        book.check("looking" in done.stdout + done.stderr, "`ringfence proofs publish` says why")
        watch.until(lambda page: page.value(metrics.PROOF_RED), "the prover says so")
        book.check(watch.fires("ProofWithheld"), "ProofWithheld fires")
        status = ringfence("proofs", "status", "--json", *there)
        book.check(status.returncode == 70, "`ringfence proofs status` ends with status 70")
        book.check(bool(json.loads(status.stdout)["report"]["findings"]), "and names what is found")
        book.step("the prover hangs")
        prover = pid_of(directory, "prover")
        os.kill(prover, signal.SIGSTOP)
        watch.until(lambda page: page.value(metrics.READY, process="prover") is None, "it says nothing")
        book.check(watch.fires("ProverMissing"), "who hangs is silent: ProverMissing fires")
        book.step("it is killed, and people thaw the co-signers")
        os.kill(prover, signal.SIGKILL)
        keys = [
            ("--person", name, "--key", directory / "custody" / "people" / f"{name}.key") for name in PEOPLE
        ]
        custody("thaw", *keys[0], *keys[1], *there)
        until(lambda: pid_of(directory, "prover") not in (0, prover), "the prover is started again")
        # What was asked for before is still asked for: it comes by itself.
        until(lambda: _report(directory).get("snapshot", 0) >= 2, "the proof comes", seconds=180)
        watch.until(lambda page: page.value(metrics.PROOF_RED) == 0, "the prover is content")
        book.check(not watch.fires("ProofWithheld"), "the proof is published, and the alert is over")
        book.check(_report(directory)["red"] == 0, "`/api/v1/porl/status` says the same to everybody")


def _report(directory: Path) -> dict[str, int]:
    path = directory / "proofs" / "report.json"
    return {"snapshot": 0} | json.loads(path.read_bytes()) if path.exists() else {"snapshot": 0}


if __name__ == "__main__":
    main(run)
