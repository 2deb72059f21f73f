"""The shadow: the rules of the exchange a second time, written apart from the engine to catch it out.

It shares no code with the engine: no NumPy, no Numba, no tables, no figures that are kept up to date on the side.
Margins, unrealised profit, exposure, queues of deleveraging are worked out from positions and orders whenever they
are asked for, so a figure that grew stale in the engine shows as a disagreement. See docs/internals/shadow.md.

| module                       | what is in it                                              |
|------------------------------|------------------------------------------------------------|
| shadow                       | the front door: `Shadow.step`                              |
| disagreement                 | where two runs part, in words                              |
| figures                      | the state in plain figures, for comparing and publishing   |
| venue, accounts, instrument, | the nouns                                                  |
|   orders, book               |                                                            |
| placing, special, amending   | orders that come in and change                             |
| checks, margin               | what they are refused for                                  |
| entering, matching, clearing | how they trade, and what a fill does                       |
| cancelling, triggers         | how they end; what waits for prices and for each other     |
| marking, funding             | index to mark; what holders pay each other                 |
| liquidation, insurance,      | when margin runs short, and who pays                       |
|   deleveraging               |                                                            |
| settlement, timers           | the end of a contract, of a day, of an order               |
| halting                      | what stands still when something was wrong, and goes on    |
| upkeep, pieces               | what is left over, and how much of it is done at once      |
| settings, wallets, listing   | what accounts and the operator set                         |
"""

from ringfence.assurance.shadow.disagreement import Disagreement, disagreement, in_words
from ringfence.assurance.shadow.figures import Figures, figures
from ringfence.assurance.shadow.shadow import Shadow

__all__ = ["Disagreement", "Figures", "Shadow", "disagreement", "figures", "in_words"]
