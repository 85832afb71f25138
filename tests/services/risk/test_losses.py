"""What was lost, what happens then, and who lets it go on."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.risk.core.conduct.windows import DAY_NS
from services.risk.core.findings import Measured
from services.risk.core.limits.bounds import LossLimits
from services.risk.core.losses.baseline import Baseline
from services.risk.core.losses.losses import Losses
from services.risk.core.switches.alerts import Alerts
from shared.contract import keys
from shared.contract.errors import Conflict, NotFound, Refused
from shared.contract.risk import Limits, TradingState
from tests.services.risk.conftest import NOW_NS

D = Decimal
SCOPE = "account.default"
LIMITS = Limits(loss_max=D(100), drawdown_max=D(150))
REACH = LossLimits.of([(SCOPE, LIMITS)])
MIDNIGHT_NS = (NOW_NS // DAY_NS + 1) * DAY_NS
MONDAY_NS = 1_699_833_600_000_000_000
"""2023-11-13, the Monday before NOW_NS."""

ACTIVE, REDUCING, HALTED = TradingState


class Desk:
    """Losses of one account, told in whole units."""

    def __init__(self, action: TradingState = REDUCING, limits: Limits | None = LIMITS) -> None:
        self.losses = Losses(Alerts(), action)
        self.limits = limits
        self.now_ns = NOW_NS

    def worth(self, *equities: int | None) -> str:
        """Mark these one after the other; the code of the last change, if there was one."""
        code = ""
        for equity in equities:
            given = None if equity is None else D(equity)
            for change in self.losses.mark(SCOPE, given, self.limits, self.now_ns):
                code = change.alert.code
                assert change.key == keys.baseline(SCOPE)
        return code

    def look(self, *, reduces: bool = False, reach: LossLimits = REACH) -> Measured:
        """The first finding that fails, or the first."""
        found = self.losses.look(reach, self.now_ns, reduces=reduces)
        return next((finding for finding in found if not finding.ok), found[0])

    def state(self) -> TradingState:
        return self.losses.standing(["firm", SCOPE]).state

    def restarted(self) -> Desk:
        """From what was kept, as it was kept."""
        again = Desk(self.losses._action, self.limits)
        kept = [Baseline.decode(baseline.encode()) for _, baseline in self.losses.unsaved()]
        again.losses.restore(kept)
        again.now_ns = self.now_ns
        return again


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_loss_below_its_limit_changes_nothing(desk: Desk) -> None:
    assert desk.worth(1000, 901) == ""
    finding = desk.look()
    assert (finding.ok, finding.value, finding.limit, finding.used) == (True, "99", "100", 0.99)
    assert desk.state() is ACTIVE


def test_a_loss_that_reaches_its_limit_trips_the_scope_once(desk: Desk) -> None:
    assert desk.worth(1000, 900) == "RISK_LOSS_LIMIT"
    assert desk.worth(899, 800, 700) == ""
    assert desk.state() is REDUCING
    finding = desk.look()
    assert (finding.ok, finding.rule, finding.code, finding.scope) == (False, "R17", "RISK_LOSS_LIMIT", SCOPE)


@pytest.mark.parametrize(("action", "passes"), [(REDUCING, True), (HALTED, False)])
def test_what_trips_either_only_reduces_or_stands_still(action: TradingState, passes: bool) -> None:
    desk = Desk(action)
    desk.worth(1000, 900)
    assert desk.losses.standing([SCOPE]) == (action, SCOPE)
    assert desk.look(reduces=True).ok is passes
    assert not desk.look(reduces=False).ok


def test_winning_it_back_resets_nothing(desk: Desk) -> None:
    desk.worth(1000, 900, 2000)
    assert desk.state() is REDUCING


def test_a_fall_from_the_peak_trips_even_on_a_winning_day(desk: Desk) -> None:
    assert desk.worth(1000, 1500, 1351) == ""
    assert desk.worth(1350) == "RISK_DRAWDOWN_LIMIT"


def test_a_new_day_forgives_the_days_loss_and_not_the_fall_from_the_peak(desk: Desk) -> None:
    assert desk.worth(1000, 910) == ""
    desk.now_ns = MIDNIGHT_NS
    assert desk.worth(900) == ""
    assert desk.look().value == "10"
    assert desk.worth(850) == "RISK_DRAWDOWN_LIMIT"


def test_what_is_lost_overnight_counts_for_the_new_day(desk: Desk) -> None:
    desk.worth(1000)
    desk.now_ns = MIDNIGHT_NS
    assert desk.worth(900) == "RISK_LOSS_LIMIT"


def test_a_new_day_does_not_reset_what_was_tripped(desk: Desk) -> None:
    desk.worth(1000, 900)
    desk.now_ns = MIDNIGHT_NS + 30 * DAY_NS
    desk.worth(2000)
    assert desk.state() is REDUCING


def test_the_weeks_loss_is_limited_where_somebody_says_so() -> None:
    desk = Desk(limits=Limits(loss_max=D(100), drawdown_max=D(1000), week_loss_max=D(150)))
    desk.now_ns = MONDAY_NS
    desk.worth(1000, 910)
    desk.now_ns = MONDAY_NS + DAY_NS
    assert desk.worth(851) == ""
    assert desk.worth(850) == "RISK_LOSS_LIMIT"


def test_a_new_week_begins_on_monday() -> None:
    desk = Desk(limits=Limits(loss_max=D(100), drawdown_max=D(1000), week_loss_max=D(150)))
    desk.now_ns = MONDAY_NS - 2 * DAY_NS
    desk.worth(1000, 910)
    desk.now_ns = MONDAY_NS - 1
    desk.worth(900)
    desk.now_ns = MONDAY_NS
    assert desk.worth(840) == ""
    assert desk.losses.show()[0].week_equity == 900


def test_without_a_limit_for_the_week_there_is_none() -> None:
    assert REACH.weeks == ()
    assert len(Desk().losses.look(REACH, NOW_NS, reduces=False)) == 2


# Who lets it go on.


@pytest.mark.parametrize("actor", ["", "unnamed", "default"])
def test_a_tripped_scope_is_not_reset_by_nobody_or_by_itself(desk: Desk, actor: str) -> None:
    desk.worth(1000, 900)
    with pytest.raises(Refused):
        desk.losses.reset(SCOPE, actor, "fine", desk.now_ns)
    assert desk.state() is REDUCING


def test_a_named_person_resets_it_and_it_is_measured_anew(desk: Desk) -> None:
    desk.worth(1000, 900)
    change = desk.losses.reset(SCOPE, "alice", "hedged", desk.now_ns)
    assert isinstance(change.value, Baseline)
    assert (change.value.day_equity, change.value.peak_equity, change.value.actor) == (900, 900, "alice")
    assert change.alert.code == "RISK_LOSS_RESET"
    assert desk.look().ok
    assert desk.worth(801) == ""
    assert desk.worth(800) == "RISK_LOSS_LIMIT"


def test_what_is_not_tripped_cannot_be_reset(desk: Desk) -> None:
    desk.worth(1000)
    with pytest.raises(NotFound, match="tripped: nothing"):
        desk.losses.reset(SCOPE, "alice", "why not", desk.now_ns)


def test_what_cannot_be_valued_cannot_be_measured_anew(desk: Desk) -> None:
    desk.worth(1000, 900, None)
    with pytest.raises(Conflict, match="RISK_LOSS_UNKNOWN"):
        desk.losses.reset(SCOPE, "alice", "hedged", desk.now_ns)


# What is not known.


def test_a_scope_that_cannot_be_valued_carries_no_new_risk(desk: Desk) -> None:
    desk.worth(1000, None)
    finding = desk.look()
    assert (finding.ok, finding.code) == (False, "RISK_LOSS_UNKNOWN")
    assert desk.look(reduces=True).ok
    desk.worth(1000)
    assert desk.look().ok


def test_a_scope_that_could_never_be_valued_carries_no_new_risk(desk: Desk) -> None:
    desk.worth(None)
    assert desk.look().code == "RISK_LOSS_UNKNOWN"


def test_an_old_mark_is_no_mark(desk: Desk) -> None:
    desk.worth(1000)
    desk.now_ns += 5_000_000_000
    assert desk.look().ok
    desk.now_ns += 1
    assert desk.look().code == "RISK_LOSS_UNKNOWN"


def test_a_scope_that_never_traded_has_lost_nothing(desk: Desk) -> None:
    assert desk.look() == Measured("R17", "RISK_LOSS_LIMIT", True, "0", "100", SCOPE)


def test_a_loss_limit_that_nobody_set_is_nought_and_trips_nothing() -> None:
    desk = Desk(limits=None)
    assert desk.worth(1000, 1) == ""
    unset = LossLimits.of([("firm", Limits()), ("symbol.BTCUSDT", Limits(loss_max=D(9), drawdown_max=D(9)))])
    finding = desk.look(reach=unset)
    assert (finding.ok, finding.limit) == (False, "0")
    assert desk.look(reach=unset, reduces=True).ok


def test_every_scope_in_reach_is_held_to_its_own_limit(desk: Desk) -> None:
    reach = LossLimits.of([("firm", LIMITS), (SCOPE, LIMITS), ("strategy.trend", Limits(loss_max=D(10)))])
    for scope in ("firm", SCOPE, "strategy.trend"):
        desk.losses.mark(scope, D(1000), LIMITS, NOW_NS)
    assert desk.look(reach=reach).ok
    desk.losses.mark("strategy.trend", D(990), None, NOW_NS)
    assert desk.look(reach=reach).scope == "strategy.trend"
    desk.losses.mark("strategy.trend", D(991), None, NOW_NS)
    assert desk.losses.mark("firm", D(900), LIMITS, NOW_NS)[0].alert.account == "firm"
    assert desk.look(reach=reach).scope == "firm"
    assert desk.losses.standing([SCOPE]).state is ACTIVE


# After a restart.


def test_a_restart_forgets_no_loss_and_no_peak(desk: Desk) -> None:
    desk.worth(1000, 1200, 1100)
    again = desk.restarted()
    assert again.look().code == "RISK_LOSS_UNKNOWN"
    assert again.worth(1051) == ""
    assert again.worth(1050) == "RISK_DRAWDOWN_LIMIT"
    other = desk.restarted()
    assert other.losses.show() == []


def test_a_day_that_began_while_nobody_looked_begins_with_the_last_equity(desk: Desk) -> None:
    desk.worth(1000, 950)
    again = desk.restarted()
    again.now_ns = MIDNIGHT_NS
    assert again.worth(851) == ""
    assert again.look().value == "99"


@pytest.mark.parametrize("action", [REDUCING, HALTED])
def test_what_was_tripped_is_tripped_after_a_restart(action: TradingState) -> None:
    desk = Desk(action)
    desk.worth(1000, 900)
    again = desk.restarted()
    assert again.state() is action
    again.worth(5000)
    assert again.state() is action
    again.losses.reset(SCOPE, "alice", "hedged", again.now_ns)
    assert again.restarted().state() is ACTIVE


def test_what_changed_is_kept_once(desk: Desk) -> None:
    desk.worth(1000)
    assert [key for key, _ in desk.losses.unsaved()] == [keys.baseline(SCOPE)]
    assert desk.losses.unsaved() == []


def test_money_however_small_survives_being_kept(desk: Desk) -> None:
    desk.losses.mark(SCOPE, D("1E-18"), LIMITS, NOW_NS)
    assert desk.restarted().losses.show()[0].equity == D("1E-18")


def test_what_tripped_a_scope_is_said_to_every_order_whatever_its_limits_are_by_now(desk: Desk) -> None:
    desk.worth(1000, 1200, 1050)
    assert desk.look().code == "RISK_DRAWDOWN_LIMIT"
    raised = LossLimits.of([("firm", LIMITS), (SCOPE, Limits(drawdown_max=D(100_000)))])
    again = desk.restarted()
    assert again.look(reach=raised).code == "RISK_DRAWDOWN_LIMIT"
    assert again.look(reach=LossLimits.of([("firm", LIMITS), (SCOPE, Limits())])).scope == SCOPE


def test_a_scope_whose_worth_stands_still_has_nothing_to_keep(desk: Desk) -> None:
    desk.worth(1000)
    desk.losses.unsaved()
    desk.worth(1000, 1000)
    assert desk.losses.unsaved() == []
    desk.now_ns = MIDNIGHT_NS
    desk.worth(1000)
    assert len(desk.losses.unsaved()) == 1
