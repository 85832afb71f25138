"""The faults, by the number under which they are known."""

from __future__ import annotations

from tests.chaos.fault import Fault
from tests.chaos.faults.f01_kill_oms import FAULT as F1
from tests.chaos.faults.f02_kill_services import FAULT as F2
from tests.chaos.faults.f03_kill_nats import FAULT as F3
from tests.chaos.faults.f04_kill_valkey import FAULT as F4
from tests.chaos.faults.f05_kill_all import FAULT as F5
from tests.chaos.faults.f07_freeze import FAULT as F7
from tests.chaos.faults.f08_partition import FAULT as F8
from tests.chaos.faults.f10_disk_full import FAULT as F10
from tests.chaos.faults.f12_duplicates import FAULT as F12
from tests.chaos.faults.f13_out_of_order import FAULT as F13
from tests.chaos.faults.f16_reversal import FAULT as F16
from tests.chaos.faults.f17_venue_trouble import FAULT as F17
from tests.chaos.faults.f19_kill_switch import FAULT as F19
from tests.chaos.faults.f20_limit_race import FAULT as F20
from tests.chaos.faults.f21_overload import FAULT as F21

FAULTS: dict[str, Fault] = {
    fault.id: fault for fault in (F1, F2, F3, F4, F5, F7, F8, F10, F12, F13, F16, F17, F19, F20, F21)
}
