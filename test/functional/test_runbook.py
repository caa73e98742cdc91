# SPDX-License-Identifier: BSD-2-Clause
"""The commands of an operator's runbook, as they are written there, one after the other, and what people and scripts
look for in their output.  Disks are shared files where the runbook has mirrored volumes.
"""

import re

import pytest


@pytest.fixture(scope="module")
def cluster(own_cluster):
    """As after `gnt-cluster init`, with a guest on the last node."""
    own_cluster.add("vm1.example.org", "node3")
    return own_cluster


def sh(cluster, text, **more):
    """A line of the runbook, with the shell's own quoting; what it prints, on both streams."""
    done = cluster.run("sh", "-c", f"{text} 2>&1", **more)
    assert done.returncode == 0, f"{text}: {done.returncode}\n{done.stdout}"
    assert "Traceback" not in done.stdout
    return done.stdout


def test_a_new_cluster_is_set_up(cluster):
    assert "ERROR" not in sh(cluster, "gnt-cluster verify")
    sh(cluster, "gnt-group rename default D")
    sh(cluster, r"gnt-cluster modify -H kvm:cpu_type=IvyBridge\\,+pcid\\,+invpcid\\,+spec-ctrl\\,+ssbd\\,+md-clear")
    sh(cluster, "gnt-cluster modify --hypervisor-parameters kvm:machine_version=pc-i440fx-5.2")
    sh(cluster, "gnt-cluster modify -H kvm:kvm_path=/usr/bin/qemu-system-x86_64,kvm_flag=enabled,kernel_path=")
    info = sh(cluster, "gnt-cluster info")
    assert "    cpu_type: IvyBridge,+pcid,+invpcid,+spec-ctrl,+ssbd,+md-clear\n" in info
    assert "    machine_version: pc-i440fx-5.2\n" in info
    assert "    kernel_path:\n" in info
    assert "  default instance allocator: hail\n" in info


def test_lists_are_what_scripts_expect(cluster):
    size = r" +[0-9.]+[MGT]"
    head, first, *_ = sh(cluster, "gnt-node list").splitlines()
    assert head.split() == ["Node", "DTotal", "DFree", "MTotal", "MNode", "MFree", "Pinst", "Sinst"]
    assert re.fullmatch(rf"node1{size}{size}{size}{size}{size} +0 +0", first)
    assert sh(cluster, "gnt-node list -o name,group") == "Node  Group\nnode1 D\nnode2 D\nnode3 D\n"
    assert sh(cluster, """gnt-instance list -o name -F "pnode.group == 'D'" """) == "Instance\nvm1.example.org\n"
    assert sh(cluster, """for row in A D; do echo "row ${row}: $(gnt-instance list -o name """
                       """-F "pnode.group == '${row}'" | wc -l) VMs"; done""") == "row A: 1 VMs\nrow D: 2 VMs\n"
    assert sh(cluster, "gnt-node list -o name,master_candidate,master") == (
        "Node  MasterC IsMaster\nnode1 Y       Y\nnode2 Y       N\nnode3 Y       N\n")
    assert sh(cluster, "gnt-group list").splitlines()[0].split() == [
        "Group", "Nodes", "Instances", "AllocPolicy", "NDParams"]
    assert sh(cluster, "gnt-instance list").splitlines()[0].split() == [
        "Instance", "Hypervisor", "OS", "Primary_node", "Status", "Memory"]
    jobs = sh(cluster, "gnt-job list")
    assert jobs.splitlines()[0].split() == ["ID", "Status", "Summary"]
    assert "INSTANCE_CREATE(vm1.example.org)" in jobs
    assert sh(cluster, "gnt-job info 1").startswith("- Job ID: 1\n  Status: success\n  Received: ")


def test_a_vm_is_created_changed_and_removed(cluster):
    text = sh(cluster, "gnt-instance add -t sharedfile -I hail --net 0:link=br0 --hypervisor-parameters fake "
                       "-o gantry-guest --no-install --no-wait-for-sync -g D -B vcpus=2,memory=64m --disk 0:size=20m "
                       "new.example.org")
    assert re.search(r"INFO: Selected nodes for instance new.example.org via iallocator hail: node[123]\n", text)
    assert "No-installation mode selected, disabling startup" in text
    assert sh(cluster, "gnt-instance list --no-headers -o status new.example.org") == "ADMIN_down\n"
    assert "Waiting for job " in sh(cluster, "gnt-instance startup new.example.org")
    assert re.search(r"Waiting for job \d+ for new.example.org \.\.\.\n",
                     sh(cluster, "gnt-instance shutdown --timeout 0 new.example.org"))
    sh(cluster, "gnt-instance start new.example.org")
    assert re.fullmatch(r"  Allocated network port: \d+\n",
                        sh(cluster, "gnt-instance info new.example.org | grep 'Allocated network port'"))
    assert " - be/memory -> 128\n - be/vcpus -> 1\n" in sh(
        cluster, "gnt-instance modify -B memory=128m,vcpus=1 new.example.org")
    assert "Growing disk 0 of instance 'new.example.org' by 12M to 32M" in sh(
        cluster, "gnt-instance grow-disk --absolute new.example.org 0 32m")
    sh(cluster, "gnt-instance grow-disk new.example.org 0 4m")
    assert " - disk/1 -> add:size=8,mode=rw\n" in sh(cluster, "gnt-instance modify --disk add:size=8m new.example.org")
    sh(cluster, "gnt-instance shutdown new.example.org")
    assert " - disk/1 -> remove\n" in sh(cluster, "gnt-instance modify --disk 1:remove new.example.org")
    assert re.fullmatch(r"\d+: new.example.org\n", sh(cluster, "gnt-instance shutdown --submit new.example.org"))
    sh(cluster, "gnt-instance remove -f new.example.org")


def test_kvm_parameters_that_the_runbook_changes_are_known(cluster):
    """On an instance of that hypervisor, which none can run here."""
    for words in ("spice_bind=127.0.0.1", "boot_order=disk", "boot_order=network"):
        sh(cluster, f"gnt-os modify -H kvm:{words} gantry-guest")
    assert "boot_order" in cluster.fails("gnt-os", "modify", "-H", "kvm:boot_order=moon", "gantry-guest")


def test_a_node_is_emptied_removed_and_added_again(cluster):
    assert sh(cluster, "gnt-cluster verify-disks").endswith("No disks need to be activated.\n")
    assert "All instances migrated successfully.\n" in sh(cluster, "gnt-node migrate -f node3")
    assert sh(cluster, "gnt-node migrate -f node3") == "No primary instances on node node3, exiting.\n"
    assert sh(cluster, "gnt-node evacuate -s node3") == "No instances to evacuate on node(s) node3, exiting.\n"
    assert sh(cluster, "gnt-node list --no-headers -o pinst_cnt,sinst_cnt node3").split() == ["0", "0"]
    sh(cluster, "gnt-node remove node3")
    sh(cluster, "gnt-node add node3")
    cluster.verify()


def test_an_unreachable_node_is_failed_over(cluster):
    (node,) = cluster.guests()["vm1.example.org"]
    if node == "node1":
        sh(cluster, "gnt-instance migrate -f -n node2 vm1.example.org")
        node = "node2"
    cluster.power_cut(node)
    assert "All 1 instance(s) failed over successfully.\n" in sh(cluster, f"gnt-node failover -f {node}")
    assert sh(cluster, "gnt-instance list --no-headers -o status vm1.example.org") == "running\n"
    cluster.power_on(node)
    cluster.until(lambda: cluster.run("gnt-cluster", "verify").returncode == 0, what="the cluster is well again")


def test_the_certificates_are_renewed(cluster):
    before = {node: cluster.paths(node).node_certificate.read_text() for node in cluster.layout.nodes}
    running = cluster.guests()
    text = sh(cluster, "gnt-cluster renew-crypto -f --new-cluster-certificate --new-node-certificates "
                       '--new-rapi-certificate --new-spice-certificate --reason="somebody renewing crypto"')
    assert text.startswith("Updating certificates now. ")
    assert text.endswith('All requested certificates and keys have been replaced. Running "gnt-cluster verify" now is '
                         "recommended.\n")
    assert "ERROR" not in sh(cluster, "gnt-cluster verify")
    for node, old in before.items():
        assert cluster.paths(node).node_certificate.read_text() != old
        assert cluster.paths(node).rapi_certificate.read_text() == cluster.paths().rapi_certificate.read_text()
    sh(cluster, "gnt-cluster renew-crypto -f --new-node-certificates")
    assert "ERROR" not in sh(cluster, "gnt-cluster verify")
    assert cluster.guests() == running
    assert "?" not in sh(cluster, "gnt-node list")


def test_certificates_that_an_administrator_replaced_by_hand_are_taken(cluster):
    """The way out when they have expired: one new file on all nodes, copied while everything stands still."""
    for node in cluster.layout.nodes:
        cluster.kill("gnt-noded", node)
    cluster.kill("gnt-masterd")
    pem = cluster.paths().cluster_certificate
    pem.chmod(0o600)
    sh(cluster, f"openssl req -new -newkey rsa:2048 -days 1825 -nodes -x509 -keyout {pem} -out {pem} -batch")
    pem.chmod(0o400)
    for node in cluster.layout.nodes[1:]:
        there = cluster.paths(node).cluster_certificate
        there.unlink()
        there.write_bytes(pem.read_bytes())
        there.chmod(0o400)
    for node in cluster.layout.nodes:
        cluster.start("gnt-noded", node)
    cluster.start("gnt-masterd")
    assert "?" not in sh(cluster, "gnt-node list")
    sh(cluster, "gnt-cluster renew-crypto -f --new-node-certificates")
    assert "ERROR" not in sh(cluster, "gnt-cluster verify")


def test_files_and_commands_go_to_all_nodes(cluster):
    file = cluster.layout.root("node1") / "etc/motd"
    file.write_text("hello\n")
    file.chmod(0o640)
    sh(cluster, f"gnt-cluster copyfile {file}")
    for node in ("node2", "node3"):
        there = cluster.layout.root(node) / "etc/motd"
        assert (there.read_text(), there.stat().st_mode & 0o777) == ("hello\n", 0o640)
    rule = "-" * 48
    assert sh(cluster, "gnt-cluster command -n node1 -n node2 'basename $GANTRY_ROOT; exit 3'") == (
        f"{rule}\nnode: node2\nnode2\nreturn code = 3\n{rule}\nnode: node1\nnode1\nreturn code = 3\n")
    assert sh(cluster, "gnt-cluster command -M --failure-only 'basename $GANTRY_ROOT; test $GANTRY_ROOT != "
                       f"{cluster.layout.root('node3')}'") == "node3: node3\nreturn code = 1\n"
    assert "nosuch" in cluster.fails("gnt-cluster", "copyfile", "/nosuch")


def test_the_master_is_failed_over_and_the_cluster_destroyed(cluster):
    assert sh(cluster, "gnt-cluster getmaster") == "node1\n"
    assert sh(cluster, "gnt-cluster master-failover", node="node2") == ""
    assert sh(cluster, "gnt-cluster getmaster", node="node3") == "node2\n"
    cluster.master = "node2"
    sh(cluster, "gnt-instance remove -f vm1.example.org")
    for node in ("node1", "node3"):
        sh(cluster, f"gnt-node remove {node}")
    assert "--yes-do-it" in cluster.fails("gnt-cluster", "destroy")
    sh(cluster, "gnt-cluster destroy --yes-do-it")
    assert cluster.run("gnt-cluster", "getmaster").returncode == 1
