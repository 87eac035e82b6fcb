"""A broker account and its matching, as a pure state machine: commands in, replies out, nothing else.

A venue is the fold of its commands, which are plain values of JSON, so whoever stores the commands has
stored the venue. Equal commands give equal replies and equal bytes.

Rules: a cash account (no margin, no short sale: nothing is sold beyond the position), whole shares. A
client order id is used once, for ever. Open orders hold cash or shares. An order is filled only by market
events that began after its acceptance: accepted before the open it sees the opening auction, the range of
the day and the close; accepted later it sees the close, the only later price known with certainty. At the
opening auction the volume of the day is not known, so size and cost follow from the symbol's bar before.

* A stop is triggered by the open, by the range of a bar that began after its acceptance, or by the close;
  it then takes liquidity at the worse of stop and open, a stop-limit never beyond its limit.
* IOC and FOK orders live for one market event; FOK is filled whole within the participation cap or not.
* Day orders expire at the close. GTC orders stay until filled or cancelled and never expire.
* A halted symbol, like one without a bar, fills nothing; its orders stay, and their time in force runs.
* A split takes effect before the open of its ex session, on shares, prices and open orders alike: sizes are
  multiplied and rounded down; limits of buys and stops of sells are rounded down to the tick, the others
  up; a reverse split cancels the symbol's open orders (FINRA Rule 5330). A fraction of a share is paid in
  cash at the last price. A dividend is paid at the ex date and changes no order ("do not reduce").
"""

from workbench.core.venue.corrections import BUST, CORRECT, RENAME
from workbench.core.venue.machine import Venue
from workbench.core.venue.quoted import FEE, standing_quote

__all__ = ["BUST", "CORRECT", "FEE", "RENAME", "Venue", "standing_quote"]
