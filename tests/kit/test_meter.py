"""What a service counts and states, in Prometheus's text format."""

from __future__ import annotations

from decimal import Decimal

from shared.kit.meter import Meter


def lines_of(meter: Meter, **stated: object) -> list[str]:
    return [line for line in meter.exposition(stated).decode().splitlines() if line.startswith("trade2026_")]


def test_a_service_is_a_label_of_what_it_counts() -> None:
    meter = Meter("sink-ticks")
    meter.count("rows_written", 3, table="ticks")

    assert 'trade2026_rows_written_total{service="sink-ticks",table="ticks"} 3.0' in lines_of(meter)


def test_what_is_stated_is_a_gauge_of_this_very_moment() -> None:
    meter = Meter("risk")

    assert lines_of(meter, ready=True) == ['trade2026_ready{service="risk"} 1.0']
    assert lines_of(meter, profit={"firm": Decimal("-1.5")}) == ['trade2026_profit{of="firm",service="risk"} -1.5']
    assert lines_of(meter, modes={"sim": "PAPER"}) == ['trade2026_modes{is="PAPER",of="sim",service="risk"} 1.0']
    assert lines_of(meter, modes={}) == []


def test_what_is_counted_is_not_stated_again() -> None:
    meter = Meter("normalizer")
    meter.count("ticks", 7)

    assert "trade2026_ticks{" not in "\n".join(lines_of(meter, ticks=7, symbols=5))


def test_words_and_lists_are_not_stated() -> None:
    assert lines_of(Meter("test"), state="RUNNING", some=[1, 2]) == []


def test_how_the_process_fares_is_told_by_the_usual_names() -> None:
    told = Meter("test").exposition().decode()

    assert "process_start_time_seconds " in told
    assert "process_resident_memory_bytes " in told
