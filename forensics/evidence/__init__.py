"""Weighing: what readings are worth, as pure functions of records and reference populations.

Nothing here opens a checkpoint or knows a probe by name. `weighing.weigh` is the room's entry; `verdict` holds
the rules of an opinion; `reference/` holds populations, thresholds and the verbal scale as data.
"""
