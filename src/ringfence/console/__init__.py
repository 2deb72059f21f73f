"""The custody console: what signers and operators look at, and sign."""
