# SPDX-License-Identifier: BSD-2-Clause
"""OP_CLUSTER_RENEW_CRYPTO: new certificates for the nodes; or only a record of those that they have.

A node accepts calls of certificates that its list of master candidates names.  So all nodes first hear of the new
certificates, beside the old ones; then each node begins to use its own; and then the old ones are forgotten.
"""

from dataclasses import dataclass
from typing import Any

from gantry.cmdlib.base import ALL, Locks, LogicalUnit
from gantry.cmdlib.view import View
from gantry.errors import BadEnvironment, Error, WrongInput
from gantry.objects.cluster import Node
from gantry.objects.plan import Action, Call, Master, Plan, Several, Step, Update, ref
from gantry.opcodes.cluster import ClusterRenewCrypto
from gantry.rpc import calls

MADE = "made"


@dataclass(frozen=True)
class Seen:
    """`nodes` that are not marked offline, the master last.  `certs`: the list of candidates' certificates now.
    `digests`: what the nodes have; other ones than are recorded, where an administrator replaced the cluster's.
    """

    cluster: str
    nodes: tuple[Node, ...]
    certs: dict[str, str]
    digests: dict[str, str]


class ClusterRenewCryptoUnit(LogicalUnit[ClusterRenewCrypto, Seen], op=ClusterRenewCrypto):
    """The cluster's own certificate is exchanged by `gnt-cluster renew-crypto` while the daemons stand still; nodes
    then issue themselves new ones, and this records them.  Result: null.
    """

    def locks(self, view: View) -> Locks:
        return Locks(exclusive={"node": ALL})

    async def check(self, view: View) -> Seen:
        cluster = view.config.cluster
        if self.op.renew_ssh_keys:
            raise WrongInput(detail="The SSH keys of this cluster's nodes are not made by it, so it cannot renew them; "
                                    "use what distributes them")
        nodes = sorted(view.config.online_nodes(), key=lambda node: (node.uuid == cluster.master_node, node.name))
        digests: dict[str, str] = {}
        answers = await view.nodes.call_many([node.uuid for node in nodes], calls.certificate_digest)
        for node in nodes:
            answer = answers[node.uuid]
            if not isinstance(answer, Error):
                digests[node.uuid] = answer
            elif self.op.node_certificates:
                raise BadEnvironment(detail=f"Node {node.name} cannot be asked for its certificate: {answer}; to "
                                            "renew those of the others, mark it offline (gnt-node modify -O yes "
                                            f"{node.name})")
            else:
                view.warn(f"node {node.name} does not say which certificate it has: {answer}; when it comes back, "
                          f"add it again (gnt-node add --readd {node.name})")
        return Seen(cluster.uuid, tuple(nodes), dict(cluster.candidate_certs), digests)

    def plan(self, seen: Seen) -> Plan:
        return self._renew(seen) if self.op.node_certificates else self._record(seen)

    def _record(self, seen: Seen) -> Plan:
        found = {node.uuid: seen.digests.get(node.uuid, "") for node in seen.nodes}
        changes: list[Action] = [Update(table="nodes", uuid=node.uuid, fields={"certificate": found[node.uuid]})
                                 for node in seen.nodes if found[node.uuid] not in ("", node.certificate)]
        if not changes:
            return Plan()
        certs = seen.certs | {uuid: digest for uuid, digest in seen.digests.items() if uuid in seen.certs}
        changes.append(Update(table="cluster", uuid=seen.cluster, fields={"candidate_certs": certs}))
        return Plan(steps=(
            Step(title=f"recording the certificates of {len(changes) - 1} nodes", action=Several(actions=changes)),
            _tell("telling all nodes", may_fail=True)))

    def _renew(self, seen: Seen) -> Plan:
        made = {node.uuid: ref(MADE, place) for place, node in enumerate(seen.nodes)}
        present = {uuid: digest for uuid, digest in seen.digests.items() if uuid in seen.certs}
        both = seen.certs | present | {f"{uuid}-new": digest for uuid, digest in made.items() if uuid in seen.certs}
        new = seen.certs | {uuid: digest for uuid, digest in made.items() if uuid in seen.certs}
        final: list[Action] = [Update(table="nodes", uuid=uuid, fields={"certificate": digest})
                               for uuid, digest in made.items()]
        return Plan(steps=(
            Step(title=f"making new certificates on {len(seen.nodes)} nodes", key=MADE, weight=2.0,
                 action=Several(actions=[Call(node=node.uuid, call="certificate_prepare") for node in seen.nodes]),
                 undo=Several(actions=[Call(node=node.uuid, call="certificate_drop") for node in seen.nodes])),
            Step(title="", action=_certs(seen.cluster, both), undo=_certs(seen.cluster, seen.certs | present)),
            _tell("telling all nodes of the new certificates"),
            *(Step(title=f"node {node.name} begins to use its new certificate", no_return=True,
                   may_fail=node is not seen.nodes[-1], action=Call(
                       node=node.uuid, call="certificate_use", args={"digest": made[node.uuid]}))
              for node in seen.nodes),
            Step(title="recording the new certificates",
                 action=Several(actions=[*final, _certs(seen.cluster, new)])),
            _tell("telling all nodes that the old ones are void", may_fail=True)))


def _certs(cluster: str, certs: dict[str, Any]) -> Update:
    return Update(table="cluster", uuid=cluster, fields={"candidate_certs": certs})


def _tell(title: str, *, may_fail: bool = False) -> Step:
    return Step(title=title, action=Master(call="redistribute"), weight=0.5, may_fail=may_fail)
