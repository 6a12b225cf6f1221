"""An account with its door and its limits, and its dead man's switch."""

from mmbot.venues.paper.account import Account
from mmbot.venues.paper.entry import TOO_MANY, Args, OrderEntry
from mmbot.venues.paper.limits import Limits, per_second
from mmbot.venues.paper.settings import PaperSettings
from mmbot.venues.paper.wire import Answer, Refused

_PRODUCTS = {"DERIVATIVES": ("linear", "inverse"), "SPOT": ("spot",)}


class Member:
    """Cancel on disconnect (https://bybit-exchange.github.io/docs/v5/order/dcp): when every private socket
    that subscribed to a product's `dcp` topic is dead for `windows_ns` of it, its orders are cancelled. Off
    until a window is set.
    """

    def __init__(self, account: Account, settings: PaperSettings) -> None:
        self.account = account
        self.entry = OrderEntry(account, settings)
        self.limits = Limits(settings.limit_factor)
        self.windows_ns: dict[str, int] = {}
        self._left_ns: dict[str, int] = {}

    def order(
        self, action: str, args: Args, now_ns: int, wall_ns: int, *, batch: bool
    ) -> tuple[Answer, dict[str, str]]:
        """create, amend, cancel or cancel-all, within the limits: the answer and its limit headers.

        Raises Refused; a refused order is an answer too.
        """
        category = self.entry.category(args)
        wanted = len(self.entry.requests(args)) if batch else 1
        name = f"{category} {action}{' batch' if batch else ''}"
        bucket = self.limits.bucket(name, per_second(category, action))
        allowed = bucket.spend(wall_ns, wanted)
        headers = bucket.headers(wall_ns)
        if not allowed:
            return Answer({}, {}, 10006, TOO_MANY), headers
        try:
            if batch:
                return self.entry.batch(action, args, now_ns, allowed), headers
            if action == "cancel-all":
                return self.entry.cancel_all(args, now_ns), headers
            return self.entry.one(action, args, now_ns), headers
        except Refused as refused:
            return Answer({}, {}, refused.code, refused.message), headers

    def left(self, product: str, now_ns: int) -> None:
        """The last socket that watched over a product is gone."""
        if product in self.windows_ns:
            self._left_ns[product] = now_ns

    def came(self, product: str) -> None:
        self._left_ns.pop(product, None)

    def bury(self, now_ns: int) -> None:
        """Cancel what nobody watched over for the whole window."""
        for product, left_ns in list(self._left_ns.items()):
            if now_ns - left_ns < self.windows_ns[product]:
                continue
            del self._left_ns[product]
            for (category, _), desk in self.account.desks.items():
                for order in list(desk.open.values()) if category in _PRODUCTS[product] else ():
                    desk.cancel(now_ns, order)
                self.account.collect(desk)
