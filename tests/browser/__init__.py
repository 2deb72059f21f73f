"""The offline verifier in a real browser, and files for it that were written from the format's page alone."""
