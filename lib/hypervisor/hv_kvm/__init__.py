# SPDX-License-Identifier: BSD-2-Clause
"""QEMU, with KVM where it works.

cmdline, devices, blockdev, display    from a VmSpec to the argument list; pure, golden tests
hostfacts, probe                       what this node's emulator can do, and whether KVM works
qmp, process, files, runtime           QEMU's protocol, its processes, its files, what is remembered of a guest
launch, stopping, migration, status    acting
console, attach, pinning, security     one parameter's business each
"""

from gantry.hypervisor.hv_kvm.hypervisor import Kvm

__all__ = ["Kvm"]
