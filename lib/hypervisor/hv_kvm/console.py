# SPDX-License-Identifier: BSD-2-Clause
"""How an operator reaches a guest's console: serial before VNC before SPICE."""

import sys

from gantry import paths
from gantry.hypervisor.hv_kvm import cmdline, display, files
from gantry.objects.vm import Console, VmSpec


def console(spec: VmSpec, *, name: str, host: str) -> Console:
    hv = cmdline.params(spec)
    own = files.of(spec.uuid)
    if hv["serial_console"]:
        command = (sys.executable, "-m", "gantry.hypervisor.hv_kvm.attach", str(own.socket("serial")),
                   str(own.serial_log))
        root = str(paths.here().root)
        return Console(instance=name, kind="ssh", host=host,
                       command=command if root == "/" else ("env", f"GANTRY_ROOT={root}", *command))
    port = spec.network_port
    if hv["vnc_bind_address"] and display.vnc_folder(hv):
        return Console(instance=name, kind="msg", host=host,
                       message=f"VNC listens on the socket {hv['vnc_bind_address']}/{spec.name}.vnc of node {host}")
    if hv["vnc_bind_address"] and port is not None:
        return Console(instance=name, kind="vnc", host=_reachable(hv["vnc_bind_address"], host), port=port,
                       display=port - display.VNC_BASE_PORT)
    if hv["spice_bind"]:
        return Console(instance=name, kind="spice", host=_reachable(hv["spice_bind"], host), port=port)
    return Console(instance=name, kind="msg",
                   message=f"No serial console, VNC or SPICE is configured for instance {name}")


def _reachable(bind: str, host: str) -> str:
    """The address to connect to: the node's own where the guest's screen listens everywhere or on an interface."""
    everywhere = bind in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return host if everywhere or not any(mark in bind for mark in ".:") else bind
