"""Rights of VIPs: the one table, which `app/config` reports and each check asks.

`visitor_list`: `visitor/list` (visitors). `stealth`: visits without a trace (`Visibility.is_stealthy`).
`new_contacts_per_day`: conversations begun in a day (chat).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Right:
    """Something that people without and with VIP may do differently: yes or no, or how often."""

    name: str
    free: bool | int
    vip: bool | int

    def of(self, *, is_vip: bool) -> bool | int:
        """Rights of a user."""
        return self.vip if is_vip else self.free


class VipRights:
    """The table.

    :param new_contacts_free, new_contacts_vip: conversations that one may begin a day.
    """

    def __init__(self, *, new_contacts_free: int, new_contacts_vip: int) -> None:
        self.visitor_list = Right("visitor_list", free=False, vip=True)
        self.stealth = Right("stealth", free=False, vip=True)
        self.new_contacts_per_day = Right(
            "new_contacts_per_day", free=new_contacts_free, vip=new_contacts_vip
        )

    @property
    def all(self) -> tuple[Right, ...]:
        """Every right."""
        return (self.visitor_list, self.stealth, self.new_contacts_per_day)

    def wire(self) -> list[dict[str, Any]]:
        """Rights as `app/config` shows them."""
        return [{"name": right.name, "free": right.free, "vip": right.vip} for right in self.all]
