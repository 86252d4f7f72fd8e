"""Who speaks: addresses behind proxies, the allow-list, and what one source did in this minute."""

import threading
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

MAX_SOURCES: Final = 10_000  # remembered at once
MAX_ADDRESS: Final = 64  # characters; the longest address has 45, and a zone behind it
_V6_SITE_BITS: Final = 64  # one customer has at least these to choose addresses from


def behind_proxies(peer: str, forwarded_for: str | None, hops: int) -> str:
    """Return the address that the outermost of `hops` trusted proxies saw.

    Each proxy appends the address it was called from; what stands before the last `hops` of them
    anybody may have written. With fewer of them the caller came another way: it is the peer itself.
    """
    if not hops or not forwarded_for:
        return peer
    seen = [part for part in map(str.strip, forwarded_for.split(",")) if part]
    return seen[-hops][:MAX_ADDRESS] if len(seen) >= hops else peer


class AllowList:
    """Networks; `has` tells whether an address is in one of them, and remembers what it found."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._networks = tuple(map(_unmapped_network, networks))
        self.is_empty = not self._networks
        self.has: Callable[[str], bool] = lru_cache(MAX_SOURCES)(self._look_up)

    def _look_up(self, source: str) -> bool:
        address = _address(source)
        return address is not None and any(address in network for network in self._networks)


class PerMinute:
    """Counts by key in the present minute; bounded, the oldest keys are forgotten."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._minute = 0
        self._lock = threading.Lock()

    def add(self, key: str) -> int:
        """Count one more, and return how many there were in this minute."""
        with self._lock:
            self._turn()
            count = self._counts[key] = self._counts.get(key, 0) + 1
            if len(self._counts) > MAX_SOURCES:
                del self._counts[next(iter(self._counts))]
            return count

    def count(self, key: str) -> int:
        """Return how many there were in this minute."""
        with self._lock:
            self._turn()
            return self._counts.get(key, 0)

    def __len__(self) -> int:
        """Return how many keys were counted in this minute."""
        return len(self._counts)

    def _turn(self) -> None:
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}


@lru_cache(MAX_SOURCES)
def site_of(source: str) -> str:
    """Return what is counted as one source: an IPv4 address, or the /64 around an IPv6 address."""
    address = _address(source)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _V6_SITE_BITS), strict=False))
    return str(address or source)


def _address(source: str) -> IPv4Address | IPv6Address | None:
    """Return an address; an IPv4 one also where a socket for both families says `::ffff:...`."""
    try:
        address = ip_address(source)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _unmapped_network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    first, bits = network.network_address, network.prefixlen - 96
    if isinstance(first, IPv6Address) and first.ipv4_mapped and bits >= 0:
        return IPv4Network((first.ipv4_mapped, bits))
    return network
