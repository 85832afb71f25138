"""What the settings lead to: the gates, the desk's patience, the paper venue's terms."""

from __future__ import annotations

from services.live_gateway.core.breaker import Breaker
from services.live_gateway.core.budget import Budget
from services.live_gateway.core.gates import Gates
from services.live_gateway.core.kills import Kills
from services.live_gateway.core.modes import Canary, Modes, Setup
from services.live_gateway.core.orders import Terms
from services.live_gateway.core.work import Patience
from services.live_gateway.settings import Settings


def gates(settings: Settings) -> Gates:
    has_keys = bool(settings.binance_key and settings.binance_secret.get_secret_value())
    setups = {"binance": Setup(settings.binance_enabled and has_keys, play_money=settings.binance_testnet)}
    canary = Canary(settings.canary_fraction, settings.canary_notional_max)
    return Gates(
        Kills(),
        Modes(setups, canary),
        {venue: Breaker(settings.breaker_failures, round(settings.breaker_open_s * 1e9)) for venue in setups},
        {venue: Budget(settings.rate_per_s, settings.rate_burst, settings.rate_reserve) for venue in setups},
        round(settings.rate_wait_s * 1e9),
    )


def patience(settings: Settings) -> Patience:
    return Patience(
        ask_ns=round(settings.ask_after_s * 1e9),
        absent_ns=round(settings.absent_after_s * 1e9),
        crowded_ns=round(settings.rate_wait_s * 1e9),
    )


def terms(settings: Settings) -> Terms:
    return Terms(settings.maker_fee_fraction, settings.taker_fee_fraction, round(settings.market_wait_s * 1e9))


def accounts(settings: Settings) -> dict[str, str]:
    """Which account of ours trades with the account at each real venue."""
    return {"binance": settings.binance_account}
