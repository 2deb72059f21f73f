"""The custody console: what signers and operators look at, and sign. An origin and a process of its own.

It holds no key that signs. Whoever signs does so in the browser, over a text or a digest that the browser itself makes
of what it shows; the console checks the signature, writes it down and passes it on.

| module     | what is in it                                                             |
|------------|---------------------------------------------------------------------------|
| origin     | which requests are of the console's own pages; headers of every answer     |
| seats      | who may sit here: people of the charter, and people who may lift halts     |
| texts      | what is signed here and nowhere else, in plain words                       |
| record     | the audit log, folded: keys, drafts, signatures                            |
| hardware   | login and enrolment with a hardware key (WebAuthn)                         |
| sessions   | who is signed in, and for how long; how often strangers may try            |
| decoded    | transactions, taken apart from their bytes                                 |
| sight      | what the console knows of coins and halts, from feed and logs              |
| sent       | what may be submitted to the core: HALT and RESUME                         |
| deeds      | what signed-in people do                                                   |
| server     | routes, pages                                                              |
"""

from pathlib import Path

from ringfence.console.origin import origin_of

PAGES = Path(__file__).with_name("page")


def has_pages() -> bool:
    """Return whether the pages were built: they are made from npm packages, and not in git."""
    return (PAGES / "index.html").exists()


__all__ = ["PAGES", "has_pages", "origin_of"]
