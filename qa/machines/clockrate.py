# SPDX-License-Identifier: BSD-2-Clause
"""The rate of this host's time stamp counter.

An emulated machine reads the host's counter.  One that measures the rate itself while the host is busy can be wrong
by a factor, and all its timers with it; so it is told.
"""

import ctypes
import mmap
import time

_READ_COUNTER = bytes.fromhex("0f31"        # rdtsc: high half in edx, low half in eax
                              "48c1e220"    # shl $32, %rdx
                              "4809d0"      # or %rdx, %rax
                              "c3")         # ret


def kilohertz(seconds: float = 0.2) -> int:
    """Measured over so many seconds."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(_READ_COUNTER)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def sample() -> tuple[int, int]:
        """(nanoseconds, counter) of the least disturbed of some readings."""
        tries = []
        for _ in range(40):
            before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            count = read()
            after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
            tries.append((after - before, (before + after) // 2, count))
        return min(tries)[1:]

    begin = sample()
    time.sleep(seconds)
    end = sample()
    return round((end[1] - begin[1]) * 1_000_000 / (end[0] - begin[0]))
