"""Mean and standard deviation of many values, some at a time and each looked at once."""

import math

import numpy as np

from actwidgets.core.arrays import Doubles


class Spread:
    """Takes values in units of a power of two, of which no square overflows or vanishes.

    Reference: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance".
    """

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0

    def add(self, scaled: Doubles) -> None:
        """Take the values of one more chunk; at least one."""
        n_all = self._n + scaled.size
        mean = float(scaled.mean())
        deviations = scaled - mean
        squares = float(np.square(deviations, out=deviations).sum())
        apart, share = mean - self._mean, scaled.size / n_all
        self._squares += squares + apart**2 * share * self._n
        self._mean += apart * share
        self._n = n_all

    def moments(self, exponent: int, low: float, high: float) -> tuple[float, float]:
        """Mean and standard deviation (ddof 0) of the unscaled values; equal ones exactly."""
        if low == high:
            return low, 0.0
        within = min(max(math.ldexp(self._mean, exponent), low), high)
        return within, math.ldexp(math.sqrt(self._squares / self._n), exponent)
