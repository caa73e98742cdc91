# SPDX-License-Identifier: BSD-2-Clause
#
# A guest in one boot sector: it writes records to its disk and says on COM1 when the disk has acknowledged one.
#
#     UP            it runs
#     FOUND N       records 0 to N-1 were on the disk (N: eight hexadecimal digits)
#     ACK N         record N is on the disk
#     ERR N         writing record N failed; it is tried again
#     BYE           the power button was pressed
#
# Record N is sector N + 1: this disk's mark, N, 125 words drawn from N, and the sum of the words before.  The mark
# lies in this sector; whoever installs the guest chooses it, so that older records on the same disk do not count.
#
#     as --32 -o recorder.o recorder.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o recorder recorder.o

        .code16
        .globl  _start
        .set    buffer, 0x8000
        .set    words, 125

_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        cld
        movb    %dl, drive
        movw    $0x602, %dx             # the power button may set its bit
        movw    $0x100, %ax
        outw    %ax, %dx
        movw    $up, %si
        call    text
        call    newline

        # How many records there are, bit by bit: with records 0 to N-1 on the disk, record M-1 is there for M <= N.
        xorl    %esi, %esi
        movl    $0x80000, %ebp
probe:  leal    -1(%esi, %ebp), %ebx
        pushl   %esi
        call    check
        popl    %esi
        jc      1f
        addl    %ebp, %esi
1:      shrl    $1, %ebp
        jnz     probe
        movl    %esi, %ebx
        movw    $found, %si
        call    line

write:  movw    $buffer, %di
        movl    mark, %eax
        stosl
        movl    %ebx, %eax
        stosl
        movw    $words, %cx
1:      imull   $1664525, %eax, %eax
        addl    $1013904223, %eax
        stosl
        loop    1b
        call    sum
        movl    %edx, (%di)
        movw    $0x4300, %ax
        call    disk
        movw    $failed, %si
        jc      2f
        movw    $done, %si
        call    line
        incl    %ebx
        jmp     3f
2:      call    line
3:      movl    0x46c, %eax             # until the next tick of the BIOS, 55 ms
4:      hlt
        movw    $0x600, %dx
        inw     %dx, %ax
        testb   $1, %ah
        jnz     off
        movl    0x46c, %eax
        cmpl    last, %eax
        je      4b
        movl    %eax, last
        jmp     write

off:    movw    $bye, %si
        call    text
        call    newline
        movw    $0x604, %dx
        movw    $0x2000, %ax
        outw    %ax, %dx
1:      hlt
        jmp     1b

check:  movb    $0x42, %ah              # carry: record %ebx is not there, or not whole
        call    disk
        jc      1f
        movl    mark, %eax
        cmpl    %eax, buffer
        jne     2f
        cmpl    %ebx, buffer + 4
        jne     2f
        call    sum
        cmpl    %edx, buffer + 508
        jne     2f
        clc
        ret
2:      stc
1:      ret

sum:    movw    $buffer, %si            # %edx: of all words but the last, at which %si ends
        movw    $(words + 2), %cx
        xorl    %edx, %edx
1:      lodsl
        addl    %eax, %edx
        loop    1b
        ret

disk:   leal    1(%ebx), %ecx           # the BIOS call %ax on sector %ebx + 1
        movl    %ecx, sector
        movb    drive, %dl
        movw    $packet, %si
        pushl   %ebx
        pushl   %ebp
        int     $0x13
        popl    %ebp
        popl    %ebx
        ret

line:   call    text                    # %si, %ebx as eight digits, newline
        movl    %ebx, %edx
        movw    $8, %cx
1:      roll    $4, %edx
        movb    %dl, %al
        andb    $15, %al
        addb    $'0', %al
        cmpb    $'9', %al
        jbe     2f
        addb    $('a' - '9' - 1), %al
2:      call    put
        loop    1b
newline:
        movb    $'\n', %al
put:    pushw   %dx
        movb    %al, %ah
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movb    %ah, %al
        movw    $0x3f8, %dx
        outb    %al, %dx
        popw    %dx
        ret
text:   lodsb
        testb   %al, %al
        jz      1f
        call    put
        jmp     text
1:      ret

up:     .asciz  "UP"
found:  .asciz  "FOUND "
done:   .asciz  "ACK "
failed: .asciz  "ERR "
bye:    .asciz  "BYE"
drive:  .byte   0
last:   .long   0
packet: .byte   16, 0
        .word   1, buffer, 0
sector: .long   0, 0

        .org    506
mark:   .long   0
        .word   0xaa55
