"""The clauses of regulations that the controls answer to, and what each asks for."""

from __future__ import annotations

from typing import NamedTuple


class Clause(NamedTuple):
    """A clause of a regulation, and what it asks for."""

    name: str
    asks: str


CLAUSES = {
    clause.name: clause
    for clause in (
        Clause("SEC 15c3-5(b)", "controls under the firm's direct and exclusive control, documented"),
        Clause("SEC 15c3-5(c)(1)(i)", "no orders beyond pre-set credit or capital thresholds, in aggregate"),
        Clause("SEC 15c3-5(c)(1)(ii)", "no erroneous orders: price, size, over a short period, duplicative"),
        Clause("SEC 15c3-5(c)(2)(i)", "no orders unless what must hold before order entry does"),
        Clause("SEC 15c3-5(c)(2)(ii)", "no orders in securities that the firm or customer may not trade"),
        Clause("SEC 15c3-5(c)(2)(iii)", "access for authorised persons only"),
        Clause("SEC 15c3-5(e)", "regular review of the controls' effectiveness"),
        Clause("RTS 6 Art. 12", "cancel any or all unexecuted orders at once, and know whose they are"),
        Clause("RTS 6 Art. 15(1)(a)", "price collars, order by order and over a period"),
        Clause("RTS 6 Art. 15(1)(b)", "maximum order value"),
        Clause("RTS 6 Art. 15(1)(c)", "maximum order volume"),
        Clause("RTS 6 Art. 15(1)(d)", "maximum number of messages"),
        Clause("RTS 6 Art. 15(2)", "every order sent counts at once"),
        Clause("RTS 6 Art. 15(3)", "repeated automated execution stops until a designated person re-enables it"),
        Clause("RTS 6 Art. 15(4)", "market and credit risk limits"),
        Clause("RTS 6 Art. 15(5)", "block or cancel what lacks permission or threatens thresholds, at every level"),
        Clause("RTS 6 Art. 15(6)", "overrides temporary, exceptional, verified, by a designated person"),
        Clause("RTS 6 Art. 16", "monitoring in real time, alerts within five seconds"),
        Clause("RTS 6 Art. 17", "continuous post-trade control; own records reconciled with the venue's"),
        Clause("RTS 6 Art. 28", "records of orders, kept in sequence"),
        Clause("RTS 7 Art. 18", "the venue's kill functionality and limits on orders per second"),
        Clause("RTS 7 Art. 20", "pre-trade controls on price, value and volume; release of one order by authorisation"),
        Clause("RTS 9 Art. 1", "cancels by the kill functionality, or by lost connectivity, are not the member's"),
        Clause("RTS 9 Art. 3", "ratio of unexecuted orders to transactions, by number and volume, per session"),
        Clause("FIA order size", "maximum order size (fat finger)"),
        Clause("FIA position", "maximum intraday position"),
        Clause("FIA price tolerance", "price tolerance, and market data that is reasonable"),
        Clause("FIA kill switch", "a kill switch, and cancel on disconnect"),
        Clause("FIA repeated execution", "repeated automated execution limit"),
        Clause("FIA message rate", "outbound message rate"),
        Clause("FIA self-match", "self-match prevention"),
        Clause("FIA credit", "post-trade credit and loss limits"),
        Clause("UMIR 7.1", "limit on the value of unexecuted orders; short sales designated"),
        Clause("SEBI orders per second", "orders per second of an algorithm's user"),
    )
}
