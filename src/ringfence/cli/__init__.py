"""`ringfence`: the command line. One file a group of commands; each loads only what it runs."""

from cyclopts import App

from ringfence.cli import (
    audit,
    backup,
    cluster,
    config,
    custody,
    database,
    export,
    halt,
    journal,
    key,
    mail,
    metrics,
    operator,
    policy,
    proofs,
    security,
    simulate,
    status,
    threshold_key,
    top,
    up,
    upgrade,
    verify,
    warm,
    withdrawal,
)

app = App(name="ringfence", help="A derivatives exchange that you can check.")
app.command(warm.warm)
app.command(up.up)
app.command(status.status)
app.command(metrics.metrics)
app.command(top.top)
app.command(config.app)
app.command(cluster.app)
app.command(upgrade.app)
app.command(key.app)
app.command(mail.mail)
app.command(database.app)
app.command(operator.app)
app.command(halt.app)
custody.app.command(policy.app)
custody.app.command(threshold_key.app)
app.command(custody.app)
app.command(withdrawal.app)
app.command(journal.app)
app.command(backup.app)
app.command(export.export)
app.command(audit.app)
app.command(simulate.app)
app.command(proofs.app)
app.command(security.app)
app.command(verify.app)


def main() -> None:
    app()
