# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_SET_PARAMS: change parameters of the cluster."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from gantry.cmdlib import master_ip, pool
from gantry.cmdlib.base import ALL, SETTINGS, Hooks, Locks, LogicalUnit
from gantry.cmdlib.cluster_params import changed_fields
from gantry.cmdlib.view import View
from gantry.config.config import Config
from gantry.errors import Error, WrongInput, WrongState
from gantry.objects import codec
from gantry.objects.cluster import Cluster, Node
from gantry.objects.plan import Action, Plan, Several, Step, Update
from gantry.opcodes.cluster import ClusterSetParams
from gantry.rpc import calls

_COMMON = frozenset({"dry_run", "debug_level", "priority", "depends", "comment", "reason", "force"})


ADDRESS = frozenset({"master_netdev", "master_netmask"})
"""Fields that say where the cluster's address is."""


@dataclass(frozen=True)
class Change:
    before: Cluster
    fields: dict[str, Any]
    promoted: tuple[Node, ...]


class ClusterSetParamsUnit(LogicalUnit[ClusterSetParams, Change], op=ClusterSetParams):
    """Result: null.  A larger candidate pool is filled at once."""

    def locks(self, view: View) -> Locks:
        return Locks(shared={"node": ALL, "instance": ALL, "nodegroup": ALL}, exclusive={"cluster": SETTINGS})

    async def check(self, view: View) -> Change:
        given = {name: value for name, value in self.op.encode().items() if name not in _COMMON and name != "OP_ID"}
        if all(value is None for value in given.values()):
            raise WrongInput(detail="Please give at least one of the parameters.")
        config = view.config
        fields = changed_fields(config.cluster, self.op)
        self._check_use(config, fields)
        await self._check_hypervisors(view, fields)
        promoted: tuple[Node, ...] = ()
        if "candidate_pool_size" in fields:
            promoted = pool.to_promote(config.nodes.values(), fields["candidate_pool_size"])
            if promoted:
                certs = pool.certificates(config.nodes) | {node.uuid: node.certificate for node in promoted}
                fields["candidate_certs"] = certs
        return Change(config.cluster, fields, promoted)

    def _check_use(self, config: Config, fields: dict[str, Any]) -> None:
        """What instances use cannot be switched off."""
        for name, attribute in (("enabled_hypervisors", "hypervisor"), ("enabled_disk_templates", "disk_template")):
            if name not in fields:
                continue
            users = sorted(instance.name for instance in config.instances.values()
                           if getattr(instance, attribute) not in fields[name])
            if users:
                raise WrongState(detail=f"Cannot change {name}: it would not allow what these instances use: "
                                        f"{', '.join(users)}")

    async def _check_hypervisors(self, view: View, fields: dict[str, Any]) -> None:
        enabled = fields.get("enabled_hypervisors", view.config.cluster.enabled_hypervisors)
        nodes = [node.uuid for node in view.config.online_nodes() if node.vm_capable]
        for hypervisor in enabled:
            if "hvparams" not in fields or hypervisor not in (self.op.hvparams or {}):
                continue
            answers = await view.nodes.call_many(nodes, calls.hypervisor_validate, hypervisor=hypervisor,
                                                 hvparams=fields["hvparams"][hypervisor])
            for uuid, answer in answers.items():
                if isinstance(answer, Error) and not answer.may_pass:
                    raise WrongInput(detail=f"Hypervisor parameter validation failed on node "
                                            f"{view.config.nodes[uuid].name}: {answer}")

    def plan(self, seen: Change) -> Plan:
        if not seen.fields:
            return Plan()
        uuid = seen.before.uuid
        old = {name: codec.encode(getattr(seen.before, name)) for name in seen.fields}
        actions: list[Action] = [Update(table="cluster", uuid=uuid, fields=codec.encode(seen.fields))]
        undos: list[Action] = [Update(table="cluster", uuid=uuid, fields=old)]
        for node in seen.promoted:
            actions.append(Update(table="nodes", uuid=node.uuid, fields={"master_candidate": True}))
            undos.append(Update(table="nodes", uuid=node.uuid, fields={"master_candidate": False}))
        record = Step(title="", action=Several(actions=actions), undo=Several(actions=undos))
        return Plan(steps=(*self._address_down(seen), record, *self._address_up(seen)))

    def _address_down(self, seen: Change) -> tuple[Step, ...]:
        old = seen.before
        if not ADDRESS & seen.fields.keys():
            return ()
        return (Step(title=f"taking the cluster address {_shown(old)} down",
                     action=master_ip.stop(old), undo=master_ip.start(old), weight=0.5, may_fail=self.op.force),)

    def _address_up(self, seen: Change) -> tuple[Step, ...]:
        if not ADDRESS & seen.fields.keys():
            return ()
        new = dataclasses.replace(seen.before, **{name: seen.fields[name] for name in ADDRESS & seen.fields.keys()})
        return (Step(title=f"bringing the cluster address {_shown(new)} up",
                     action=master_ip.start(new), undo=master_ip.stop(new), weight=1.0),)

    def hooks(self, seen: Change) -> Hooks:
        master = (seen.before.master_node,)
        return Hooks(path="cluster-modify", object_type="CLUSTER", target=seen.before.name,
                     env={"NEW_VG_NAME": str(self.op.vg_name)}, pre_nodes=master, post_nodes=master)


def _shown(cluster: Cluster) -> str:
    return f"{cluster.master_ip}/{cluster.master_netmask} on {cluster.master_netdev}"
