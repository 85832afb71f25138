"""Ticks become bars: one compiled fold for live trading, replay and backtest. Importing it imports numba."""

from shared.domain.bars.fold import INTERVALS, BarFold, SaidBar, warm

__all__ = ["INTERVALS", "BarFold", "SaidBar", "warm"]
