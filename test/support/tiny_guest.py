# SPDX-License-Identifier: BSD-2-Clause
"""A whole guest in the 512 bytes of a boot sector: boots in a tenth of a second under software emulation.

On its serial port, N being eight hexadecimal digits:

    UP N      it runs, and its disk says that N ticks were counted before
    TICK N    one more tick (18 a second), written to the disk and acknowledged; ERR N: that failed
    BYE N     the power button was pressed, or somebody typed `p`: it switches itself off

Typing `r` makes it reset itself.  On a pc machine it lets go of any device at once.  It is not more than this (GNU
as, 16 bit, linked at 0x7c00):

    .code16
    .globl _start
    _start: cli
     xorw %ax,%ax
     movw %ax,%ds
     movw %ax,%es
     movw %ax,%ss
     movw $0x7c00,%sp
     sti
     cld
     movb %dl,drive
     movw $0x602,%dx       # let the power button set its bit
     movw $0x100,%ax
     outw %ax,%dx
     xorl %ebx,%ebx
     movb $0x42,%ah
     call disk
     jc 1f
     cmpl $0x4b434954,buf
     jne 1f
     movl buf+4,%ebx
    1: movw $up,%si
     call line
    loop: movl 0x46c,%eax
    2: hlt
     movw $0x600,%dx
     inw %dx,%ax
     testb $1,%ah
     jnz off
     movw $0x3fd,%dx
     inb %dx,%al
     testb $1,%al
     jz 3f
     movw $0x3f8,%dx
     inb %dx,%al
     cmpb $'p',%al
     je off
     cmpb $'r',%al
     jne 3f
     movb $0xfe,%al
     outb %al,$0x64
    3: movw $0xae04,%dx    # slots of a pc machine that are to be let go of
     inl %dx,%eax
     testl %eax,%eax
     jz 1f
     movw $0xae08,%dx
     outl %eax,%dx
    1: movl 0x46c,%eax
     cmpl last,%eax
     je 2b
     movl %eax,last
     incl %ebx
     movl $0x4b434954,buf
     movl %ebx,buf+4
     movw $0x4300,%ax
     call disk
     movw $tick,%si
     jnc 4f
     movw $err,%si
    4: call line
     jmp loop
    off: movw $bye,%si
     call line
     movw $0x604,%dx
     movw $0x2000,%ax
     outw %ax,%dx
    5: hlt
     jmp 5b
    disk: movb drive,%dl
     movw $dap,%si
     pushl %ebx
     int $0x13
     popl %ebx
     ret
    line: lodsb
     testb %al,%al
     jz 6f
     call putc
     jmp line
    6: movl %ebx,%edx
     movw $8,%cx
    7: roll $4,%edx
     movb %dl,%al
     andb $15,%al
     addb $'0',%al
     cmpb $'9',%al
     jbe 8f
     addb $39,%al
    8: call putc
     loop 7b
     movb $'\n',%al
    putc: pushw %dx
     movb %al,%ah
     movw $0x3fd,%dx
    9: inb %dx,%al
     testb $0x20,%al
     jz 9b
     movb %ah,%al
     movw $0x3f8,%dx
     outb %al,%dx
     popw %dx
     ret
    up: .asciz "UP "
    tick: .asciz "TICK "
    err: .asciz "ERR "
    bye: .asciz "BYE "
    drive: .byte 0
    last: .long 0
    dap: .byte 0x10,0
     .word 1,buf,0
     .long 1,0
     .org 510
     .word 0xaa55
     .set buf,0x8000
"""

from pathlib import Path

_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfbfc88160c7dba0206b80001ef6631dbb442e88f00721066813e00805449434b7505668b1e0480be"
    "f87ce8850066a16c04f4ba0006edf6c4017559bafd03eca8017410baf803ec3c7074493c727504b0fee664ba04ae66ed6685c074"
    "05ba08ae66ef66a16c04663b060d7d74c466a30d7d664366c70600805449434b66891e0480b80043e81d00befc7c7303be027de8"
    "2000eb99be077de81800ba0406b80020eff4ebfd8a160c7dbe117d6653cd13665bc3ac84c07405e81f00ebf66689dab9080066c1"
    "c20488d0240f04303c3976020427e80400e2ebb00a5288c4bafd03eca82074fb88e0baf803ee5ac3555020005449434b20004552"
    "52200042594520000000000000100001000080000001")
SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"
MIB = 1 << 20


def make_disk(path: Path, *, size: int = 2 * MIB) -> Path:
    """A disk with the guest on it; BIOS calls need more than half a MiB."""
    with path.open("wb") as disk:
        disk.write(SECTOR)
        disk.truncate(size)
    return path


def ticks_on(path: Path) -> int:
    """The counter that the guest wrote last."""
    block = path.read_bytes()[512:1024]
    return int.from_bytes(block[4:8], "little") if block[:4] == b"TICK" else 0


def ticks_in(text: str) -> list[int]:
    """Counters of all whole TICK lines."""
    return [int(line.split()[1], 16) for line in text.split("\n")[:-1] if line.startswith("TICK ") and len(line) == 13]
