# SPDX-License-Identifier: BSD-2-Clause
"""What operations could leave behind on a node, whatever Gantry thinks of it: the kernel and the files are asked."""

from qa.cluster import install
from qa.machines.machine import Machine

_SCRIPT = r"""
set +e
lvs --noheadings -o vg_name,lv_name 2>/dev/null | awk '{print "volume " $1 "/" $2}'
dmsetup ls 2>/dev/null | awk '$1 != "No" {print "mapping " $1}'
sed -n 's/^ *\([0-9]*\): cs:\([A-Za-z]*\) .*/drbd \1 \2/p' /proc/drbd | grep -v ' Unconfigured$'
drbdsetup status 2>/dev/null | sed -n 's/^\([^ ].*\) role.*/resource \1/p'
ip -br link show type tun 2>/dev/null | awk '{print "tap " $1}'
for f in /proc/[0-9]*/comm; do read c <$f 2>/dev/null; case $c in qemu-*) echo "process $c";; esac; done
losetup -a | sed 's/^/loop /'
find FILES /var/lib/gantry/vm /var/lib/gantry/owners /run/gantry/kvm-hypervisor /run/gantry/instance-disks \
    ! -type d ! -name 'facts-*' 2>/dev/null | sed 's/^/file /'
find /dev/xenvg /dev/mapper -type l 2>/dev/null | sed 's/^/link /'
true
"""


def of(machine: Machine) -> set[str]:
    """Volumes, devices, interfaces, processes and files there are now, a line each."""
    text = machine.sh(_SCRIPT.replace("FILES", f"{install.FILE_STORAGE} {install.SHARED_STORAGE}"))
    return {line.strip() for line in text.splitlines() if line.strip()}
