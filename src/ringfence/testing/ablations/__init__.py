"""Safeguards taken away one at a time: each must be missed by the simulated world or by a named test.

There is no switch in the product. An ablation is an edit of a source text, made while a test process of its
own imports the module; the files stay as they are, and a process that was started otherwise cannot do it.

| module   | what is in it                                              |
|----------|------------------------------------------------------------|
| register | the list: which text, what stands there instead, who knows |
| hook     | the edit, at import                                        |
| runner   | one ablation in a process of its own; all of them; the page|
"""

from ringfence.testing.ablations.register import ABLATIONS, WORLD, Ablation

__all__ = ["ABLATIONS", "WORLD", "Ablation"]
