# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for mirrored disks: woken by what `drbdsetup events2` tells, with patience that has an end."""

from collections.abc import Mapping, Sequence

from gantry.errors import StorageError
from gantry.storage import drbd_commands as commands
from gantry.storage import drbd_device as device
from gantry.storage import drbd_status
from gantry.storage.base import Progress
from gantry.storage.drbd_device import Side
from gantry.storage.drbd_status import End
from gantry.utils import clock, command

CONNECT_SECONDS = 60.0
MEET_SECONDS = 10.0
"""An end that knows of a split brain and looks for its peer again gets this time: one of them may have given in."""
STALL_SECONDS = 60.0
"""Without any progress for so long, a synchronisation is kicked; the next time it is given up."""
LOOK_SECONDS = 1.0
"""Between two looks when no event comes: how far a synchronisation is, is no event."""
GATHER_SECONDS = 0.3
"""In which further events join those that are looked at: one change is several."""


def until_connected(sides: Sequence[Side], progress: Progress) -> None:
    began = clock.SYSTEM.now()
    with command.watch(commands.events()) as events:
        while True:
            ends = _look(sides)
            missing = [one for one in sides if not ends[one.minor].connected]
            if not missing:
                return
            waited = clock.SYSTEM.now() - began
            for one in missing:
                if waited > CONNECT_SECONDS or _is_hopeless(ends[one.minor], waited):
                    raise _unconnected(one, ends[one.minor])
            progress((len(sides) - len(missing)) / len(sides), f"waiting for the connections of {len(missing)} disks")
            events.wait(LOOK_SECONDS)


def until_synced(sides: Sequence[Side], progress: Progress) -> None:
    began = clock.SYSTEM.now()
    seen, since, kicked, least = None, began, False, 0
    with command.watch(commands.events()) as events:
        while True:
            ends = _look(sides)
            rest = [one for one in sides if not ends[one.minor].synced]
            if not rest:
                return
            now = clock.SYSTEM.now()
            for one in rest:
                _check(one, ends[one.minor], now - began)
            state, left = [_state(ends[one.minor]) for one in sides], sum(end.out_of_sync for end in ends.values())
            if state != seen or left < least:
                seen, since, least = state, now, left
            elif now - since > STALL_SECONDS:
                if kicked:
                    raise _stalled(rest[0], ends[rest[0].minor])
                for one in rest:
                    _kick(one)
                since, kicked = now, True
            progress(*report([ends[one.minor] for one in sides], device.module().eta))
            events.wait(LOOK_SECONDS)


def until_other(minors: Sequence[int], seen: Sequence[Sequence[str]], seconds: float) -> list[list[str]]:
    """[status, problem] of each of the minors (see `MirrorStatus`), as soon as that is not `seen`, at the latest after
    `seconds`.
    """
    end = clock.SYSTEM.now() + seconds
    with command.watch(commands.events()) as events:
        while True:
            found = _verdicts(minors)
            left = end - clock.SYSTEM.now()
            if left <= 0 or found != [list(each) for each in seen]:
                return found
            if events.wait(left):
                clock.SYSTEM.sleep(GATHER_SECONDS)


def _verdicts(minors: Sequence[int]) -> list[list[str]]:
    ends = device.look().ends
    states = [drbd_status.judge(end, minor, reason=device.reason(end) if end else "")
              for minor, end in ((minor, ends.get(minor)) for minor in minors)]
    return [[state.status, state.problem] for state in states]


def report(ends: Sequence[End], eta: Mapping[int, int]) -> tuple[float, str]:
    """How far a synchronisation of several devices is: fraction and message."""
    total = sum(end.size for end in ends)
    left = sum(end.out_of_sync for end in ends)
    fraction = min(max(1 - left / total, 0.0), 1.0) if total else 0.0
    times = [eta[end.minor] for end in ends if end.minor in eta]
    rest = f", estimated time remaining {max(times)}s" if times else ""
    return fraction, f"synchronisation {100 * fraction:.2f}% done{rest}"


def _look(sides: Sequence[Side]) -> dict[int, End]:
    present = device.look().ends
    for one in sides:
        if one.minor not in present:
            raise StorageError(detail=f"{one.shown} went down while it was waited for; run gnt-instance activate-disks")
    return {one.minor: present[one.minor] for one in sides}


def _is_hopeless(end: End, waited: float) -> bool:
    """Whether the ends will not talk by themselves."""
    return end.alone or (waited > MEET_SECONDS and device.reason(end) == drbd_status.SPLIT)


def _check(one: Side, end: End, waited: float) -> None:
    """Raise what no waiting will mend."""
    if _is_hopeless(end, waited) or "Diskless" in (end.disk, end.peer_disk) or end.disk == "Failed":
        problem = drbd_status.judge(end, one.minor, reason=device.reason(end)).problem
        raise StorageError(detail=f"{one.shown} cannot be synchronised: {problem}")


def _state(end: End) -> tuple[str, str, str, str]:
    """What changes when there is progress.  What is out of sync grows with each write that does not get through."""
    return end.connection, end.replication, end.disk, end.peer_disk


def _kick(one: Side) -> None:
    """Make the ends talk anew; what was synchronised stays so."""
    dual = device.shown(one.minor).net.get("allow-two-primaries", "no") == "yes"
    device.disconnect(one)
    device.connect(one, dual_primary=dual)


def _unconnected(one: Side, end: End) -> StorageError:
    problem = drbd_status.judge(end, one.minor, reason=device.reason(end)).problem
    return StorageError(detail=f"{one.shown} does not get a connection to {one.link.remote} port {one.link.port}: "
                               f"{problem}")


def _stalled(one: Side, end: End) -> StorageError:
    problem = drbd_status.judge(end, one.minor, reason=device.reason(end)).problem
    why = problem or f"it is {end.replication}; look at the disks and the network of both nodes"
    return StorageError(detail=f"{one.shown} makes no progress for {2 * STALL_SECONDS:g} seconds, also not after a new "
                               f"connection, {end.out_of_sync} KiB are missing: {why}")
