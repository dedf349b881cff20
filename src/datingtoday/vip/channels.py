"""The payment channels that are set up, by name."""

from __future__ import annotations

from collections.abc import Mapping

from datingtoday.infra.payments.provider import ChannelTraits, PaymentChannel

NAMES = ("sandbox", "wechat", "alipay", "apple")
"""Every channel that the program knows."""
APPLE_TRAITS = ChannelTraits(refunds=False, closes=False, grants_late=True, queries_open=False)
_TRAITS = {"apple": APPLE_TRAITS}


class Channels:
    """Channels of one application."""

    def __init__(self, channels: Mapping[str, PaymentChannel]) -> None:
        self._channels = dict(channels)

    @property
    def names(self) -> list[str]:
        """Channels that are enabled."""
        return [name for name in NAMES if name in self._channels]

    def find(self, name: str) -> PaymentChannel | None:
        """The channel; None if it is not set up."""
        return self._channels.get(name)

    def traits_of(self, name: str) -> ChannelTraits:
        """Capabilities of a channel, also one that is not set up any more but has orders."""
        channel = self._channels.get(name)
        return _TRAITS.get(name, ChannelTraits()) if channel is None else channel.traits
