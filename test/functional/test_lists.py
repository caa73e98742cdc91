# SPDX-License-Identifier: BSD-2-Clause
"""Lists and infos, as operators and their scripts read them."""

import pytest

COLUMNS = {
    "gnt-node": ("Node", "DTotal", "DFree", "MTotal", "MNode", "MFree", "Pinst", "Sinst"),
    "gnt-instance": ("Instance", "Hypervisor", "OS", "Primary_node", "Status", "Memory"),
    "gnt-group": ("Group", "Nodes", "Instances", "AllocPolicy", "NDParams"),
    "gnt-job": ("ID", "Status", "Summary"),
    "gnt-network": ("Network", "Subnet", "Gateway", "MacPrefix", "GroupList", "Tags"),
    "gnt-filter": ("UUID", "Watermark", "Priority", "Predicates", "Action", "ReasonTrail"),
    "gnt-backup": ("Node", "Export"),
}
LISTS = ("gnt-node", "gnt-instance", "gnt-group")


@pytest.fixture(scope="module")
def cluster(shared_cluster):
    """Three instances: web1 runs on node1, web2 on node2, db10 is down on node3."""
    shared_cluster.add("web1", "node1", tags=["prod"], beparams={"minmem": 64, "maxmem": 128})
    shared_cluster.add("web2", "node2", disk_template="file")
    shared_cluster.add("db10", "node3", disk_template="diskless", disks=[], nics=[], start=False)
    yield shared_cluster
    for name in ("web1", "web2", "db10"):
        shared_cluster.remove(name)


@pytest.mark.parametrize("program", COLUMNS)
def test_default_columns(cluster, program):
    assert tuple(cluster.gnt(program, "list").splitlines()[0].split()) == COLUMNS[program]


@pytest.mark.parametrize("program", LISTS)
def test_columns_are_aligned_below_their_titles(cluster, program):
    header, *lines = cluster.gnt(program, "list", "-o", "name,uuid").splitlines()
    start = header.index("UUID")
    assert lines
    for line in lines:
        assert line[start - 1] == " "
        assert len(line[start:]) == 36


@pytest.mark.parametrize("program", [*LISTS, "gnt-job"])
def test_without_headers_and_with_a_separator(cluster, program):
    field = "id" if program == "gnt-job" else "uuid"
    plain = cluster.gnt(program, "list", "--no-headers", "-o", field).split()
    assert plain
    joined = cluster.gnt(program, "list", "--no-headers", "--separator=|", "-o", f"{field},{field}").split()
    assert joined == [f"{item}|{item}" for item in plain]


def test_a_plus_adds_to_the_default_columns(cluster):
    header, line = cluster.gnt("gnt-instance", "list", "--separator=|", "-o", "+tags,be/vcpus", "web1").splitlines()
    assert header == "Instance|Hypervisor|OS|Primary_node|Status|Memory|Tags|ConfigVCPUs"
    assert line == "web1|fake|gantry-guest|node1|running|128|prod|1"


def test_rows_are_in_nice_order_or_as_they_were_asked_for(cluster):
    def names(*args):
        return cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name", *args).split()
    assert names() == ["db10", "web1", "web2"]
    assert names("web2", "db10") == ["web2", "db10"]
    assert names("web?") == ["web1", "web2"]


def test_sizes_have_units(cluster):
    def cell(*args):
        return cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "be/maxmem", *args, "web1").strip()
    assert cell() == "128M"
    assert cell("--units", "m") == "128"
    assert cell("--units", "g") == "0.1"
    assert cell("--separator=:") == "128"


def test_states_of_instances(cluster):
    text = cluster.gnt("gnt-instance", "list", "--no-headers", "--separator=:",
                       "-o", "name,status,oper_state,oper_ram,admin_state,disk_template,nic.count,disk.sizes")
    assert text.splitlines() == ["db10:ADMIN_down:N:-:down:diskless:0:", "web1:running:Y:128:up:sharedfile:1:16",
                                 "web2:running:Y:128:up:file:1:16"]


@pytest.mark.parametrize(("filter_", "names"), [
    ("pnode == 'node1'", ["web1"]), ("not admin_up", ["db10"]), ("name =* 'web*'", ["web1", "web2"]),
    ("name =~ m/^WEB/i and be/minmem < 128", ["web1"]), ("'prod' in tags", ["web1"]), ("pnode.group == 'x'", []),
    ("disk_template == 'file' or status == 'ADMIN_down'", ["db10", "web2"])])
def test_filters(cluster, filter_, names):
    for option in ([], ["-F"]):
        assert cluster.gnt("gnt-instance", "list", "--no-headers", "-o", "name", *option, filter_).split() == names


def test_a_filter_that_cannot_be_read_is_shown_with_its_fault(cluster):
    lines = cluster.fails("gnt-instance", "list", "pnode == ").splitlines()
    assert lines[0].startswith("Error while parsing query filter: ")
    assert "^" in lines[2]


def test_lists_of_nodes_groups_and_jobs_can_be_filtered(cluster):
    assert cluster.gnt("gnt-node", "list", "--no-headers", "-o", "name", "not master").split() == ["node2", "node3"]
    assert cluster.gnt("gnt-group", "list", "--no-headers", "-o", "name", "-F", "node_cnt > 2").split() == ["default"]
    summary = cluster.gnt("gnt-job", "list", "--no-headers", "-o", "summary",
                          "'\"INSTANCE_CREATE(web1)\" in summary'".strip("'"))
    assert set(summary.split()) == {"INSTANCE_CREATE(web1)"}


@pytest.mark.parametrize("program", [*LISTS, "gnt-job"])
def test_an_unknown_field_is_shown_and_gives_status_14(cluster, program):
    done = cluster.run(program, "list", "--no-headers", "-o", "nosuch")
    assert done.returncode == 14
    assert done.stderr == "Warning: Queried for unknown fields nosuch\n"
    assert set(done.stdout.split()) == {"??"}
    assert "(unknown)" in cluster.run(program, "list", "-v", "-o", "nosuch").stdout


@pytest.mark.parametrize(("program", "kind"), [("gnt-node", "Node"), ("gnt-instance", "Instance"),
                                               ("gnt-group", "Group"), ("gnt-network", "Network")])
def test_an_unknown_object_is_an_error(cluster, program, kind):
    for command in ("list", "info"):
        assert "unknown_entity" in cluster.fails(program, command, "nosuch"), (kind, command)


@pytest.mark.parametrize("program", [*COLUMNS])
def test_list_fields(cluster, program):
    header, *lines = cluster.gnt(program, "list-fields", "--separator=|").splitlines()
    assert header == "Name|Type|Title|Description"
    fields = [line.split("|") for line in lines]
    assert all(len(field) == 4 and all(field) for field in fields), fields
    default = {field[2] for field in fields}
    assert set(COLUMNS[program]) <= default
    done = cluster.run(program, "list-fields", "nosuch")
    assert (done.returncode, "Unknown" in done.stdout) == (14, True)


def test_every_field_of_every_resource_has_a_value_for_every_row(cluster):
    for program in LISTS:
        fields = cluster.gnt(program, "list-fields", "--no-headers", "--separator=|").splitlines()
        names = ",".join(line.split("|")[0] for line in fields)
        lines = cluster.gnt(program, "list", "--no-headers", "--separator=|", "-o", names).splitlines()
        assert len(lines) == len(cluster.gnt(program, "list", "--no-headers", "-o", "uuid").split())
        assert all(line.count("|") >= len(fields) - 1 for line in lines)


def test_info_of_an_instance(cluster):
    lines = cluster.gnt("gnt-instance", "info", "web1").splitlines()
    assert lines[0] == "- Instance name: web1"
    for line in ("  State: configured to be up, actual state is up", "    - primary: node1",
                 "  Disk template: sharedfile", "    minmem: 64", "    vcpus: default (1)",
                 "    - disk/0: sharedfile, size 16M"):
        assert line in lines, line
    assert any(line.startswith("  Allocated network port: 1") for line in lines)
    static = cluster.gnt("gnt-instance", "info", "-s", "web1")
    assert "State: configured to be up\n" in static
    assert cluster.gnt("gnt-instance", "info", "--all").count("Instance name: ") == 3
    assert cluster.fails("gnt-instance", "info")
    assert cluster.fails("gnt-instance", "info", "--all", "web1")


def test_info_of_nodes_groups_and_cluster(cluster):
    node = cluster.gnt("gnt-node", "info", "node2").splitlines()
    assert node[:2] == ["- Node name: node2", f"  primary ip: {cluster.layout.address('node2')}"]
    assert node[node.index("  primary for instances:") + 1].strip() == "- web2"
    assert cluster.gnt("gnt-group", "info").startswith("- Node group: default\n")
    assert cluster.gnt("gnt-cluster", "info").startswith("Cluster name: cluster.vcluster\nCluster UUID: ")


def test_info_of_jobs(cluster):
    job = cluster.submit({"OP_ID": "OP_TEST_DELAY", "duration": 0.01})
    cluster.wait_job(job)
    text = cluster.gnt("gnt-job", "info", str(job))
    assert text.startswith(f"- Job ID: {job}\n  Status: success\n  Received: ")
    assert "    - Opcode: OP_TEST_DELAY\n      Status: success\n" in text
    assert "Job ID 99999 not found" in cluster.fails("gnt-job", "info", "99999")


def test_versions_and_master(cluster):
    assert [line.split(":")[0] for line in cluster.gnt("gnt-cluster", "version").splitlines()] == [
        "Software version", "Internode protocol", "Configuration format", "OS api version", "Export interface",
        "VCS version"]
    for node in cluster.layout.nodes:
        assert cluster.gnt("gnt-cluster", "getmaster", node=node) == "node1\n"
    assert cluster.gnt("gnt-cluster", "master-ping") == ""


def test_elsewhere_than_on_the_master_nothing_but_the_way_there_is_said(cluster):
    text = cluster.fails("gnt-node", "list", node="node2")
    assert "node1" in text
    assert "error type: wrong_input" in text


def test_operating_systems(cluster):
    assert cluster.gnt("gnt-os", "list") == "Name\ngantry-guest\n"
    text = cluster.gnt("gnt-os", "diagnose")
    assert text.startswith("OS: gantry-guest [global status: valid]\n")
    assert text.count(", status: valid (path: ") == 3
    assert cluster.gnt("gnt-os", "info", "gantry-guest").startswith("gantry-guest:\n  - valid: True\n")


def test_help_and_version(cluster):
    text = cluster.gnt("gnt-cluster", "--help")
    for arguments in ([], ["nosuch"]):
        done = cluster.run("gnt-cluster", *arguments)
        assert (done.returncode, done.stdout) == (1, text)
    assert cluster.gnt("gnt-node", "--version").startswith("gnt-node (ganeti ")


def test_a_guest_that_a_job_started_is_seen_running_at_once(cluster):
    """Also when the job changed nothing of the configuration."""
    cluster.add("lost", "node2")
    next(file for file in cluster.paths("node2").fake_vms.glob("*.json") if '"lost"' in file.read_text()).unlink()
    listed = ["gnt-instance", "list", "--no-headers", "-o", "status", "lost"]
    cluster.until(lambda: cluster.gnt(*listed) == "ERROR_down\n", what="the loss is seen")
    cluster.gnt("gnt-instance", "startup", "lost")
    assert cluster.gnt(*listed) == "running\n"
    cluster.remove("lost")
