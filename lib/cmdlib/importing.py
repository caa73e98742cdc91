# SPDX-License-Identifier: BSD-2-Clause
"""An instance from an export: where that is, what it says, and the steps that bring its contents onto the disks.

What the opcode says wins; what it leaves out comes from the export's `config.ini`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from gantry.cmdlib import disks, export_ini, exports, mirror, steps
from gantry.cmdlib.nics import AUTO
from gantry.cmdlib.view import View
from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import DiskTemplate
from gantry.errors import NodeError, NotFound, WrongInput, WrongState
from gantry.objects import codec, hvparams
from gantry.objects.base import Params
from gantry.objects.cluster import Node
from gantry.objects.dump import Dump, Meeting
from gantry.objects.params import BE_SCHEMA
from gantry.objects.plan import Several, Step, Task
from gantry.opcodes.instance import InstanceCreate
from gantry.rpc import calls

RATE = 60.0
"""MiB a second that the contents of a disk are expected to take from another node, for progress."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """An export: `path` as nodes are asked for it, `name` that of its folder, and what it says.  `port`: where the
    contents will be received.
    """

    node: Node
    path: str
    name: str
    said: export_ini.Exported
    port: int

    @property
    def shown(self) -> str:
        return f"the export {self.path} on node {self.node.name}"


async def find(view: View, op: InstanceCreate) -> Source:
    """The export that is meant; raises NotFound, or WrongInput when several are, or when it cannot be understood."""
    _refuse_contradictions(op)
    if op.compress not in (exports.UNPACKED, *view.config.cluster.compression_tools):
        raise WrongInput(detail=f"Compression tool '{op.compress}' is not enabled in this cluster")
    path = op.src_path or op.instance_name.lower()
    name = PurePosixPath(path).name
    exports.reserve_read(view, name, op.instance_name.lower())
    node = await _node(view, op, path)
    try:
        text = await view.nodes.call(node.uuid, calls.export_info, path=path)
    except NodeError as err:
        raise WrongState(detail=f"The export {path} cannot be read: {err}") from err
    said = export_ini.read(text, f"the export {path} on node {node.name}")
    return Source(node=node, path=path, name=name, said=said, port=mirror.free_port(view))


def _refuse_contradictions(op: InstanceCreate) -> None:
    if op.no_install:
        raise WrongInput(detail="no_install goes not with an import: the disks get what the export holds")
    if any(disk.get("adopt") for disk in op.disks):
        raise WrongInput(detail="Disks cannot be adopted by an import: what they hold would be overwritten")


async def _node(view: View, op: InstanceCreate, path: str) -> Node:
    config = view.config
    if op.src_node is not None:
        node = config.node(op.src_node)
        if node.offline:
            raise WrongState(detail=f"Can't use offline node '{node.name}'")
        return node
    if PurePosixPath(path).is_absolute():
        raise WrongInput(detail=f"Importing an instance from the path {path} requires a source node option "
                                "(--src-node)")
    found = await exports.holders(view, path)
    if not found:
        raise NotFound(kind="Export", name=path)
    if len(found) > 1:
        raise WrongInput(detail=f"Several nodes have an export of {path}: {', '.join(node.name for node in found)}; "
                                "say which one is meant with --src-node")
    return found[0]


# --- what the instance will be ---

def completed(view: View, op: InstanceCreate, source: Source) -> InstanceCreate:
    """The opcode with all that the export says and it does not."""
    config, said = view.config, source.said
    hypervisor = op.hypervisor or said.hypervisor or None
    template = op.disk_template or said.disk_template or None
    if template is not None and template not in set(DiskTemplate):
        raise WrongInput(detail=f"{source.shown} is of an instance with disk template {template}, which is not known "
                                "here; name another one with -t")
    given: dict[str, Any] = {
        "disk_template": template, "hypervisor": hypervisor,
        "os_type": op.os_type or said.os or None, "tags": op.tags or said.tags,
        "osparams": said.osparams | dict(op.osparams),
        "osparams_private": said.osparams_private | dict(op.osparams_private or {}),
        "beparams": _known(view, said.beparams, BE_SCHEMA, op.beparams) | dict(op.beparams)}
    if hypervisor in (None, said.hypervisor) and hypervisor in hvparams.SCHEMAS:
        schema = {name: item for name, item in hvparams.schema(hypervisor).items() if name not in hvparams.GLOBAL}
        given["hvparams"] = _known(view, said.hvparams, schema, op.hvparams) | dict(op.hvparams)
    given["disks"] = _disks(op, source, template)
    given["nics"] = _nics(config, op, source)
    fields = {key: value for key, value in op.encode().items() if key != "OP_ID"}
    made = InstanceCreate(**(fields | given))
    return _without_defaults(config, made) if op.identify_defaults else made


def _known(view: View, said: Mapping[str, Any], schema: Mapping[str, Any], own: Mapping[str, Any]) -> Params:
    """Parameters of the export that there are here; another implementation, or a later version, has others."""
    unknown = sorted(said.keys() - schema.keys() - hvparams.GLOBAL)
    if unknown:
        view.warn(f"The export has parameters that are not known here, they are left out: {', '.join(unknown)}")
    memory = {"maxmem", "minmem"} if "memory" in own else set()
    return {name: value for name, value in said.items() if name in schema and name not in memory}


def _disks(op: InstanceCreate, source: Source, template: str | None) -> tuple[Mapping[str, Any], ...]:
    exported = source.said.disks
    if not op.disks:
        kept = ("size", "name")
        return tuple({key: disk[key] for key in kept if key in disk} for disk in exported)
    if template == DiskTemplate.DISKLESS:
        return tuple(op.disks)
    if len(op.disks) < len(exported):
        raise WrongInput(detail=f"Not enough disks in target configuration (expected {len(exported)}, as many as "
                                f"{source.shown} has, found {len(op.disks)})")
    for index, (disk, old) in enumerate(zip(op.disks, exported, strict=False)):
        if isinstance(disk.get("size"), int) and disk["size"] < old["size"]:
            raise WrongInput(detail=f"disk/{index} of {disk['size']} MiB is too small: {source.shown} has "
                                    f"{old['size']} MiB for it")
    return tuple(op.disks)


def _nics(config: Config, op: InstanceCreate, source: Source) -> tuple[Mapping[str, Any], ...]:
    """An address of the network card is kept where the instance keeps its name."""
    same = op.instance_name.lower() == source.said.name
    if op.no_nics:
        return ()
    if op.nics:
        macs = [nic.get("mac", AUTO) for nic in source.said.nics] if same else []
        return tuple({**nic, "mac": macs[index]} if index < len(macs) and nic.get("mac", AUTO) == AUTO else nic
                     for index, nic in enumerate(op.nics))
    return tuple(_nic(config, index, nic, keep_mac=same) for index, nic in enumerate(source.said.nics))


def _nic(config: Config, index: int, said: Mapping[str, str], *, keep_mac: bool) -> dict[str, str]:
    found = {key: said[key] for key in ("ip", "name") if key in said}
    found["mac"] = said.get("mac", AUTO) if keep_mac else AUTO
    if "network" not in said:
        return found | {key: said[key] for key in ("mode", "link", "vlan") if key in said}
    try:
        return found | {"network": config.network(said["network"]).name}
    except NotFound as err:
        raise WrongInput(detail=f"NIC {index} of the export is in the network {said['network']}, which is not known "
                                "here; say with --net how it is to be connected") from err


def _without_defaults(config: Config, op: InstanceCreate) -> InstanceCreate:
    """Without values that are inherited as well.  Those of the hypervisor and the backend are seen to with all others
    that are given.
    """
    above, os = effective.nicparams_above(config.cluster), op.os_type or ""
    nics = tuple({key: value for key, value in nic.items() if key not in above or value != str(above[key])}
                 for nic in op.nics)
    public, private = (effective.osparams_above(config.cluster, os, private=flag) for flag in (False, True))
    fields = {key: value for key, value in op.encode().items() if key != "OP_ID"}
    return InstanceCreate(**(fields | {
        "nics": nics, "osparams": _others(op.osparams, public),
        "osparams_private": _others(op.osparams_private or {}, private)}))


def _others(own: Mapping[str, Any], above: Mapping[str, Any]) -> Params:
    return {key: value for key, value in own.items() if key not in above or str(above[key]) != str(value)}


# --- steps ---

def restore(guest: steps.Guest, source: Source, env: Mapping[str, Any], compress: str) -> list[Step]:
    """Each dump onto its disk, which is open."""
    return [_restore(guest, source, index, env, compress)
            for index, disk in enumerate(source.said.disks[:len(guest.disks)]) if disk["dump"]]


def _restore(guest: steps.Guest, source: Source, index: int, env: Mapping[str, Any], compress: str) -> Step:
    disk, name = guest.disks[index], source.said.disks[index]["dump"]
    dump = Dump(name=name, disk=disk, os=guest.instance.os, disks=guest.disks,
                env={**env, "IMPORT_INDEX": str(index)} if guest.instance.os else {})
    there = Meeting(peer=source.node.uuid, host=mirror.address(guest.node), port=source.port)
    receive = Task(node=guest.node.uuid, call="import_receive", args={
        "dump": codec.encode(dump), "source": codec.encode(there), "compress": compress})
    send = Task(node=source.node.uuid, call="import_send", args={
        "path": source.path, "dump": name, "compress": compress,
        "target": codec.encode(replace(there, peer=guest.node.uuid))})
    return Step(title=f"* importing {disks.shown(index, disk)} of instance {guest.name} from {source.node.name}",
                action=Several(actions=[send, receive]), weight=1.0 + disk.size / RATE)


def hook_env(source: Source) -> dict[str, str]:
    dumps = [disk["dump"] for disk in source.said.disks if disk["dump"]]
    return {"SRC_NODE": source.node.name, "SRC_PATH": source.path, "SRC_IMAGES": " ".join(dumps)}


def reserves(source: Source, instance: str) -> Sequence[tuple[str, str]]:
    return ((mirror.PORT, str(source.port)), exports.reads(source.name, instance))


