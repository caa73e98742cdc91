# SPDX-License-Identifier: BSD-2-Clause
"""Options that many commands share."""

from gantry.cli.declare import Option, flag, opt

PRIORITIES = {"low": 10, "normal": 0, "high": -10}

EVERYWHERE = (
    Option(("-d", "--debug"), "count", "Log more; may be repeated"),
    opt("--reason", kind="str", metavar="TEXT", help="Why this is done; kept in the job's reason trail"),
)

SETS: dict[str, tuple[Option, ...]] = {
    "S": (flag("--submit", help="Submit the job, print its id and do not wait for it"),
          flag("--print-jobid", help="Print the job's id as the first line")),
    "P": (opt("--priority", kind="choice:low|normal|high", metavar="PRIORITY", help="Priority of the job"),),
    "N": (flag("--dry-run", help="Check and show the plan, change nothing"),),
    "L": (flag("--no-headers", help="Print no line with titles"),
          opt("--separator", kind="str", metavar="STR", help="Put STR between columns, do not align them"),
          opt("-o", "--output", kind="str", metavar="FIELDS",
              help="Columns wanted, separated by commas; +FIELDS adds to the usual ones"),
          flag("-v", "--verbose", help="Spell out what ?, -, * and ?? stand for")),
}

UNITS = opt("--units", kind="choice:h|m|g|t", metavar="UNIT", help="Unit of sizes; h: what reads best")
FILTER = flag("-F", "--filter", help="The argument is a filter, even if it looks like a name")
FORCE = flag("-f", "--force", help="Ask no questions")
FORCE_PARAM = opt("-f", "--force", param="force", help="Ask no questions; also: skip some of the checks")
YES_DO_IT = flag("--yes-do-it", "--ya-rly", help="Yes, really do it")

BACKEND = opt("-B", "--backend-parameters", kind="keyval", param="beparams", metavar="K=V,...",
              help="Backend parameters")
HYPERVISOR = opt("-H", "--hypervisor-parameters", kind="ident", metavar="HV:K=V,...",
                 help="Hypervisor and its parameters")
HYPERVISOR_KEYS = opt("-H", "--hypervisor-parameters", kind="keyval", param="hvparams", metavar="K=V,...",
                      help="Hypervisor parameters of the instance")
HYPERVISORS = opt("-H", "--hypervisor-parameters", kind="idents", param="hvparams", metavar="HV:K=V,...",
                  help="Parameters of a hypervisor; may be repeated")
IALLOCATOR = opt("-I", "--iallocator", param="iallocator", metavar="NAME")
NODE = opt("-n", "--node", kind="str", metavar="NODE", help="Target or secondary node")
PLACEMENT = opt("-n", "--node", kind="str", metavar="PNODE[:SNODE]", help="Primary (and secondary) node")
NODES = opt("-n", "--node", kind="append", metavar="NODE", help="Only this node; may be repeated")
SHOW_NAMES = flag("-M", "--show-machine-names", help="Put the node's name before each line of its output")
TARGET_NODE = opt("-n", "--target-node", param="target_node", metavar="NODE")
NODE_GROUP = opt("-g", "--node-group", param="group_name", metavar="GROUP")
DISK = opt("--disk", kind="device", metavar="DISK", help="A disk, or a change of one; see DISKS in gnt-instance(8)")
NET = opt("--net", kind="device", metavar="NIC", help="A network interface, or a change of one; "
          "see NETWORK INTERFACES in gnt-instance(8)")
OS_TYPE = opt("-o", "--os-type", param="os_type", metavar="OS[+VARIANT]")
OS_PARAMS = opt("-O", "--os-parameters", kind="keyval", param="osparams", metavar="K=V,...")
OS_PRIVATE = opt("--os-parameters-private", kind="keyval", param="osparams_private", metavar="K=V,...")
OS_SECRET = opt("--os-parameters-secret", kind="keyval", param="osparams_secret", metavar="K=V,...")
SHUTDOWN_TIMEOUT = opt("--shutdown-timeout", param="shutdown_timeout", metavar="SECONDS")
IGNORE_IPOLICY = opt("--ignore-ipolicy", param="ignore_ipolicy")
IGNORE_CONSISTENCY = opt("--ignore-consistency", param="ignore_consistency")
EARLY_RELEASE = opt("--early-release", param="early_release")
NO_WAIT_FOR_SYNC = opt("--no-wait-for-sync", param="wait_for_sync", help="Do not wait until the disks are in sync")
NO_CONFLICTS_CHECK = opt("--no-conflicts-check", param="conflicts_check",
                         help="Do not check addresses against networks and nodes")
NO_RUNTIME_CHANGES = opt("--no-runtime-changes", param="allow_runtime_changes",
                         help="Never balloon memory to make a guest fit")
MIGRATION = (
    opt("--migration-mode", param="mode", metavar="MODE"),
    flag("--non-live", help="The same as --migration-mode=non-live"),
)
NODE_PARAMS = opt("--node-parameters", kind="keyval", param="ndparams", metavar="K=V,...")
DISK_PARAMS = opt("-D", "--disk-parameters", kind="idents", param="diskparams", metavar="TEMPLATE:K=V,...",
                  help="Parameters of a disk template; may be repeated")
HV_STATE = opt("--hypervisor-state", kind="idents", param="hv_state", metavar="HV:K=V,...")
DISK_STATE = opt("--disk-state", kind="idents", param="disk_state", metavar="STORAGE/NAME:K=V,...")
STATES = (HV_STATE, DISK_STATE)
IPOLICY = (
    opt("--ipolicy-bounds-specs", kind="str", metavar="SPECS",
        help="Smallest and largest instances: min:K=V,.../max:K=V,...[//...]"),
    opt("--ipolicy-disk-templates", kind="str", metavar="TEMPLATES", help="Disk templates that instances may use"),
    opt("--ipolicy-vcpu-ratio", kind="str", metavar="RATIO", help="Most virtual CPUs for each physical one"),
    opt("--ipolicy-spindle-ratio", kind="str", metavar="RATIO", help="Most instance spindles for each node spindle"),
)
IPOLICY_STD = opt("--ipolicy-std-specs", kind="str", metavar="SPECS", help="The standard instance: K=V,...")
FROM = opt("--from", kind="str", metavar="FILE", help="Read more tags from FILE, one a line (-: standard input)")
TO_GROUPS = opt("--to", kind="append", param="target_groups", metavar="GROUP")
SELECTION = (
    flag("--instance", help="The arguments are instances (the default)"),
    flag("--all", help="All instances"),
    flag("--node", help="The arguments are nodes: all instances on them"),
    flag("--primary", help="The arguments are nodes: instances primary there"),
    flag("--secondary", help="The arguments are nodes: instances secondary there"),
    flag("--tags", help="The arguments are tags of instances"),
    flag("--node-tags", help="The arguments are tags of nodes: all instances on them"),
    flag("--pri-node-tags", help="The arguments are tags of nodes: instances primary there"),
    flag("--sec-node-tags", help="The arguments are tags of nodes: instances secondary there"),
    flag("--force-multiple", help="Do not ask when several instances are selected"),
)
JOB_STATES = (
    flag("--pending", help="Jobs that did not start yet"),
    flag("--queued", help="Jobs in the queue"),
    flag("--waiting", help="Jobs that wait for locks"),
)
FIELD_LIST = SETS["L"][:2]
