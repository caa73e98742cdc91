# SPDX-License-Identifier: BSD-2-Clause
"""Whether /dev/kvm runs guests, found out by running one.

Inside other virtual machines /dev/kvm may exist and yet only crawl, stop at the first vector instruction or
never answer.  So a guest of 512 bytes goes the way of a kernel: real mode, 64-bit mode with paging, vector
instructions, CPUID in a loop; then it writes to QEMU's debug exit port.

    cli; xor %ax,%ax; mov %ax,%ds/%es/%ss; mov $0x7c00,%sp; cld
    # tables at 0x1000: one page of 2 MiB, mapped to itself
    mov $0x1000,%edi; mov %edi,%cr3; xor %eax,%eax; mov $0x0c00,%cx; rep stosl
    movl $0x2003,0x1000; movl $0x3003,0x2000; movl $0x83,0x3000
    mov $0x620,%eax; mov %eax,%cr4                       # PAE and vectors
    mov $0xc0000080,%ecx; rdmsr; or $0x100,%eax; wrmsr   # long mode
    lgdt gdtr; mov %cr0,%eax; and $~4,%eax; or $0x80000003,%eax; mov %eax,%cr0; ljmp $8,$long
    long: mov $16,%ax; mov %ax,%ds/%ss; mov $0x7c00,%esp
    pxor %xmm0,%xmm0; pcmpeqd %xmm1,%xmm1; psubd %xmm1,%xmm0
    mov $2000,%ecx
    1: push %rcx; xor %eax,%eax; cpuid; paddd %xmm0,%xmm0; pop %rcx; loop 1b
    mov $1,%eax; cpuid; mov $0x20,%al; test $1,%ecx; jz 2f; mov $0x10,%al
    2: mov $0xf4,%dx; outb %al,%dx                       # 0x10: it has SSE3 as every 64-bit CPU
    3: hlt; jmp 3b
"""

import tempfile
from pathlib import Path

from gantry.errors import CommandFailed
from gantry.utils import command

SECONDS = 2.5
GOOD = 0x10 << 1 | 1
"""How QEMU ends when the guest wrote 0x10."""

_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfc66bf001000000f22df6631c0b9000c66f3ab66c70600100320000066c70600200330000066c706"
    "00308300000066b8200600000f22e066b9800000c00f32660d000100000f300f0116d07c0f20c06683e0fb660d030000800f22c0"
    "ea6d7c080066b810008ed88ed0bc007c0000660fefc0660f76c9660ffac1b9d00700005131c00fa2660ffec059e2f4b801000000"
    "0fa2b020f7c1010000007402b01066baf400eef4ebfd660f1f440000000000000000000000000000009a20000000000000920000"
    "1700b87c")
SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


def arguments(emulator: str, image: Path, accelerator: str) -> list[str]:
    return [emulator, "-machine", "pc", "-accel", accelerator, "-nodefaults", "-no-user-config",
            "-display", "none", "-m", "16", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive", f"file={str(image).replace(',', ',,')},format=raw,if=ide,snapshot=off"]


def works(emulator: str, *, accelerator: str = "kvm") -> bool:
    """Whether a guest runs under `accelerator`; answers within a few seconds whatever happens."""
    with tempfile.TemporaryDirectory(prefix="gantry-probe-") as folder:
        image = Path(folder) / "disk"
        image.write_bytes(SECTOR)
        try:
            done = command.run(arguments(emulator, image, accelerator), seconds=SECONDS, may_fail=True)
        except CommandFailed:
            return False
    return done.status == GOOD
