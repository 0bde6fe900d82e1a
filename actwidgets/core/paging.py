"""Which part of a long row of things is on show."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page of `count` things; a page beyond the last one is the last one."""

    wanted: int
    size: int
    count: int

    @property
    def n_pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.count // self.size))

    @property
    def number(self) -> int:
        """The page on show, from 0."""
        return min(max(self.wanted, 0), self.n_pages - 1)

    @property
    def rows(self) -> slice:
        """The part on show."""
        return slice(self.number * self.size, min((self.number + 1) * self.size, self.count))

    def turned(self, step: int) -> int:
        """The number of the page `step` further on; it stops at both ends."""
        return min(max(self.number + step, 0), self.n_pages - 1)

    def span_text(self) -> str:
        """Which things are on show, in words: `13–24 of 985`."""
        if not self.count:
            return "none"
        return f"{self.rows.start + 1:,}–{self.rows.stop:,} of {self.count:,}"

    def text(self, noun: str) -> str:
        """What is on show, in words: `64 of 512 units`."""
        shown = self.rows.stop - self.rows.start
        where = f", {self.rows.start + 1}–{self.rows.stop}" if self.n_pages > 1 else ""
        return f"{shown:,} of {self.count:,} {noun}{where}"
