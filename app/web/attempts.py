"""Count wrong logins: further ones are answered later, too many are refused for a while."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from app.settings import Network

PATIENT = 5  # wrong tries from an address that are answered at once
LIMIT = 20  # wrong tries of a name from an address before it is refused
ADDRESS_LIMIT = 100  # wrong tries from one address, whatever the names
FORGOTTEN_AFTER = 600.0  # seconds after the last wrong try
DELAY = 1.0  # seconds before the answer to a wrong try after the first PATIENT ones
ENTRIES = 10_000  # counts that are held; the longest unchanged are removed first
NAME_LENGTH = 64  # characters of a name that are compared


class Try(NamedTuple):
    """Who tries to log in: the address, as `origin` returns it, and the name."""

    address: str
    name: str


class Attempts:
    """Counts wrong tries of a name from an address, and all of an address, in bounded memory.

    `clock` returns monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[Try | str, tuple[int, float]] = OrderedDict()

    def blocked_seconds(self, who: Try) -> int:
        """Whole seconds for which every try is refused, even a right password; 0 for none."""
        waits = [self._remaining(key) for key, limit in _limits(who) if self._count(key) >= limit]
        return math.ceil(max(waits, default=0.0))

    def add(self, who: Try) -> float:
        """Count a wrong try, and return the seconds after which to answer it."""
        for key, _ in _limits(who):
            self._counts[key] = (self._count(key) + 1, self._clock())
            self._counts.move_to_end(key)
        while len(self._counts) > ENTRIES:
            self._counts.popitem(last=False)
        counts = [self._count(key) for key, _ in _limits(who)]
        return DELAY if max(counts) > PATIENT else 0.0

    def forget(self, who: Try) -> None:
        """Forget the wrong tries of a name from an address, after the right password."""
        self._counts.pop(_short(who), None)

    def __len__(self) -> int:
        return len(self._counts)

    def _count(self, key: Try | str) -> int:
        count = self._counts.get(key, (0, 0.0))[0]
        return count if self._remaining(key) > 0 else 0

    def _remaining(self, key: Try | str) -> float:
        last = self._counts.get(key, (0, -math.inf))[1]
        return last + FORGOTTEN_AFTER - self._clock()


def origin(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The address that a request counts for; for IPv6 the /64, which belongs to one customer.

    `forwarded` is X-Forwarded-For. It is read from its end as far as trusted proxies have written
    it; a client may have invented what is before that.
    """
    hops = [peer, *reversed([each.strip() for each in forwarded.split(",")])]
    chosen = peer
    for hop in hops:
        address = _parse(hop)
        if address is None:
            break
        chosen = hop
        if not any(address in network for network in trusted):
            break
    return _customer(chosen)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _customer(text: str) -> str:
    address = _parse(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or text)


def _limits(who: Try) -> tuple[tuple[Try | str, int], ...]:
    return (_short(who), LIMIT), (who.address, ADDRESS_LIMIT)


def _short(who: Try) -> Try:
    return Try(who.address, who.name[:NAME_LENGTH])
