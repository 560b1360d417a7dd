"""Data of a store that a test opens, closes and opens again."""

from collections.abc import Callable

from agnt5.store.port import Store, StoreInfo


class Shelf:
    """What outlives a store object.

    Attributes:
        store: Has the data open, or had it last.
    """

    def __init__(self, make: Callable[[], Store]) -> None:
        self._make = make
        self.store = make()

    async def open(self) -> StoreInfo:
        """Open the data."""
        self.store = self._make()
        return await self.store.open()

    async def reopen(self, *, on_purpose: bool = True) -> StoreInfo:
        """Close it, and open it as the next process would.

        Args:
            on_purpose: The owner says so before; if not, it has died.
        """
        if on_purpose:
            await self.store.mark_closed()
        await self.store.close()
        return await self.open()
