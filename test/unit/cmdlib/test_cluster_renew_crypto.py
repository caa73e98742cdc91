# SPDX-License-Identifier: BSD-2-Clause
"""New certificates: at no moment of the exchange is the master a stranger to a node."""

import pytest

from gantry.cmdlib.cluster_renew_crypto import ClusterRenewCryptoUnit
from gantry.errors import BadEnvironment, WrongInput
from gantry.objects.plan import Master, Several
from gantry.opcodes.cluster import ClusterRenewCrypto
from support.cluster_world import CERTS, ClusterWorld, config, offline
from support.cuts import check_every_cut, fails_and_undoes, run
from support.view import look, plan_of


class Secured(ClusterWorld):
    """Each node has a certificate, perhaps another one prepared, and a list of those it accepts."""

    def __init__(self, made):
        super().__init__(made)
        self.used = {uuid: node.certificate or f"old-{uuid}" for uuid, node in made.nodes.items()}
        self.prepared = {}
        self.accepted = {uuid: set(made.cluster.candidate_certs.values()) for uuid in made.nodes}

    def act(self, action, results):
        if isinstance(action, Several) and action.actions and action.actions[0].kind == "call":
            return [self.act(item, results) for item in action.actions]
        if isinstance(action, Master):
            assert action.call == "redistribute"
            for uuid, node in self.config.nodes.items():
                if not node.offline and uuid not in self.down:
                    self.accepted[uuid] = set(self.config.cluster.candidate_certs.values())
            return None
        return super().act(action, results)

    def ask(self, node, name, args):
        if name.startswith("certificate_"):
            assert self.used["n1"] in self.accepted[node], f"{node} does not know the master at {name}"
        return super().ask(node, name, args)

    def _certificate_digest(self, node):
        return self.used[node]

    def _certificate_prepare(self, node):
        return self.prepared.setdefault(node, f"new-{node}")

    def _certificate_use(self, node, digest):
        if self.used[node] != digest:
            assert self.prepared[node] == digest
            self.used[node] = digest
        self.prepared.pop(node, None)

    def _certificate_drop(self, node):
        self.prepared.pop(node, None)

    def snapshot(self, **kwargs):
        return super().snapshot(**kwargs) | {"used": dict(self.used), "prepared": dict(self.prepared)}


def world(**kwargs):
    made = Secured(config(**kwargs))
    for uuid, digest in CERTS.items():
        made.used[uuid] = digest
    return made


def test_every_node_gets_a_new_certificate_and_all_know_the_master_throughout():
    def make():
        here = world(nodes={"n3": {"master_candidate": False}}, cluster={"candidate_certs": {
            "n1": CERTS["n1"], "n2": CERTS["n2"]}})
        return here, plan_of(ClusterRenewCryptoUnit, ClusterRenewCrypto, here, node_certificates=True)

    def check(here):
        assert all(here.used["n1"] in accepted for accepted in here.accepted.values())
    check_every_cut(make, check=check, undone_without=())
    here, plan = make()
    run(here, plan)
    assert here.used == {"n1": "new-n1", "n2": "new-n2", "n3": "new-n3"}
    assert here.config.cluster.candidate_certs == {"n1": "new-n1", "n2": "new-n2"}
    assert {node.certificate for node in here.config.nodes.values()} == {"new-n1", "new-n2", "new-n3"}
    assert here.prepared == {}


def test_a_node_that_does_not_answer_stops_it_before_anything_has_changed():
    here = world()
    here.down.add("n3")
    with pytest.raises(BadEnvironment, match="Node node3 cannot be asked"):
        look(ClusterRenewCryptoUnit, ClusterRenewCrypto, here, node_certificates=True)
    here.down.clear()
    before = here.snapshot()
    plan = plan_of(ClusterRenewCryptoUnit, ClusterRenewCrypto, here, node_certificates=True)
    here.refuse["certificate_prepare"] = BadEnvironment(detail="no space left")
    fails_and_undoes(here, plan)
    assert here.snapshot() == before


def test_certificates_that_nodes_issued_themselves_are_renewed_too():
    here = world()
    here.used = {"n1": "X1", "n2": "X2", "n3": "X3"}
    here.accepted = {uuid: {"X1"} for uuid in here.used}  # known by its UUID, until the list changes
    run(here, plan_of(ClusterRenewCryptoUnit, ClusterRenewCrypto, here, node_certificates=True))
    assert here.config.cluster.candidate_certs == {"n1": "new-n1", "n2": "new-n2", "n3": "new-n3"}


def test_nodes_that_are_offline_keep_theirs():
    here = world()
    offline(here.config, "n3")
    run(here, plan_of(ClusterRenewCryptoUnit, ClusterRenewCrypto, here, node_certificates=True))
    assert here.used == {"n1": "new-n1", "n2": "new-n2", "n3": CERTS["n3"]}


def test_certificates_that_nodes_issued_themselves_are_recorded():
    here = world()
    here.used = {"n1": "X1", "n2": "X2", "n3": "X3"}
    here.accepted = {uuid: {"X1"} for uuid in here.used}  # known by its UUID, until the list changes
    here.down.add("n3")
    unit, seen, view = look(ClusterRenewCryptoUnit, ClusterRenewCrypto, here)
    assert any("node node3 does not say" in line for line in view.lines)
    run(here, unit.plan(seen))
    assert here.config.cluster.candidate_certs == {"n1": "X1", "n2": "X2", "n3": CERTS["n3"]}
    assert here.config.nodes["n2"].certificate == "X2"
    unit, seen, _ = look(ClusterRenewCryptoUnit, ClusterRenewCrypto, here)
    assert unit.plan(seen).steps == ()


def test_ssh_keys_are_not_ours():
    with pytest.raises(WrongInput, match="SSH keys"):
        look(ClusterRenewCryptoUnit, ClusterRenewCrypto, world(), renew_ssh_keys=True)
