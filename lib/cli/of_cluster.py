# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster: the cluster as a whole."""

from gantry.cli.declare import Command, flag, opt
from gantry.cli.options import (
    BACKEND,
    DISK_PARAMS,
    DISK_STATE,
    FORCE,
    FORCE_PARAM,
    HV_STATE,
    HYPERVISORS,
    IPOLICY,
    IPOLICY_STD,
    NODE_GROUP,
    NODE_PARAMS,
    NODES,
    SHOW_NAMES,
    YES_DO_IT,
)
from gantry.cli.tags import tag_commands

NIC_PARAMS = opt("-N", "--nic-parameters", kind="keyval", param="nicparams", metavar="K=V,...",
                 help="Default NIC parameters: mode, link, vlan")

SETTINGS = (
    BACKEND, opt("-C", "--candidate-pool-size", param="candidate_pool_size", metavar="N"),
    opt("--enabled-hypervisors", param="enabled_hypervisors", metavar="HV,..."), HYPERVISORS,
    opt("-m", "--mac-prefix", param="mac_prefix", metavar="XX:XX:XX"),
    opt("--master-netdev", param="master_netdev", metavar="DEV"),
    opt("--master-netmask", param="master_netmask", metavar="BITS"), NIC_PARAMS,
    opt("--vg-name", param="vg_name", metavar="VG"),
    opt("--maintain-node-health", param="maintain_node_health", metavar="yes|no"),
    opt("--uid-pool", kind="str", metavar="UID|LOW-HIGH,...", help="User ids for the security model pool"),
    opt("--drbd-usermode-helper", param="drbd_helper", metavar="PATH"),
    opt("-I", "--default-iallocator", param="default_iallocator", metavar="NAME"),
    opt("--default-iallocator-params", kind="keyval", param="default_iallocator_params", metavar="K=V,..."),
    opt("--prealloc-wipe-disks", param="prealloc_wipe_disks", metavar="yes|no"), NODE_PARAMS,
    opt("--use-external-mip-script", param="use_external_mip_script", metavar="yes|no"), DISK_PARAMS, HV_STATE,
    DISK_STATE, opt("--enabled-disk-templates", param="enabled_disk_templates", metavar="TEMPLATE,..."), IPOLICY_STD,
    *IPOLICY, opt("--install-image", param="install_image", metavar="PATH|URL"),
    opt("--zeroing-image", param="zeroing_image", metavar="OS-IMAGE"),
    opt("--compression-tools", param="compression_tools", metavar="TOOL,..."),
    opt("--user-shutdown", param="enabled_user_shutdown", metavar="yes|no"),
    opt("--file-storage-dir", param="file_storage_dir", metavar="DIR"),
    opt("--shared-file-storage-dir", param="shared_file_storage_dir", metavar="DIR"),
)
"""What init and modify have in common."""

SSH_KEYS = (opt("--ssh-key-bits", kind="uint", metavar="N", help="Size of node SSH keys"),
            opt("--ssh-key-type", kind="choice:rsa|dsa|ecdsa", metavar="TYPE", help="Type of node SSH keys"))

INIT = Command("CLUSTER-NAME", "Make this node the master of a new cluster", run="cluster_init:run",
               opcode="cluster.ClusterSetParams", options=(
    *SETTINGS,
    flag("--no-etc-hosts", help="Never touch the hosts file"),
    flag("--no-ssh-init", help="Make and distribute no SSH keys"),
    opt("-s", "--secondary-ip", kind="str", metavar="IPv4", help="Address of this node for replication"),
    opt("--primary-ip-version", kind="choice:4|6", metavar="4|6", help="Family of primary addresses"),
    opt("--gluster-storage-dir", param="gluster_storage_dir", metavar="DIR"), *SSH_KEYS,
    *(opt(f"--specs-{name}", kind="keyval", metavar="min=,max=,std=", help=f"Instance policy: {what}")
      for name, what in (("cpu-count", "number of CPUs"), ("disk-count", "number of disks"),
                         ("disk-size", "size of a disk"), ("mem-size", "memory"), ("nic-count", "number of NICs")))))

MODIFY = Command("", "Change parameters of the cluster", sets="SPN", run="cluster_modify:run",
                 opcode="cluster.ClusterSetParams", options=(
    FORCE_PARAM, *SETTINGS,
    opt("--max-running-jobs", param="max_running_jobs", metavar="N"),
    opt("--max-tracked-jobs", param="max_tracked_jobs", metavar="N"),
    opt("--instance-communication-network", param="instance_communication_network", metavar="NAME"),
    opt("--add-uids", kind="str", metavar="UID|LOW-HIGH,...", help="User ids to add to the pool"),
    opt("--remove-uids", kind="str", metavar="UID|LOW-HIGH,...", help="User ids to take out of the pool"),
    opt("--reserved-lvs", param="reserved_lvs", metavar="REGEX,..."),
    opt("--modify-etc-hosts", param="modify_etc_hosts", metavar="yes|no"),
    opt("--enabled-data-collectors", kind="keyval", metavar="NAME=yes|no,...", help="Switch collectors on or off"),
    opt("--data-collector-interval", kind="keyval", metavar="NAME=SECONDS,...", help="How often they run")))

COMMANDS = {
    "init": INIT,
    "destroy": Command("", "Destroy the cluster", (YES_DO_IT,), opcode="cluster.ClusterDestroy",
                       run="cluster_destroy:run"),
    "info": Command("", "Show all about the cluster", (
        flag("--roman", help="Accepted for compatibility"),), run="cluster_info:run"),
    "modify": MODIFY,
    "verify": Command("", "Check the cluster", sets="PN", opcode="cluster.ClusterVerify", run="cluster_verify:run",
                      options=(
        opt("-v", "--verbose", param="verbose"), opt("--debug-simulate-errors", param="debug_simulate_errors"),
        opt("--error-codes", param="error_codes"), NODE_GROUP,
        flag("--no-nplus1-mem", help="Leave out the check of N+1 memory redundancy"),
        flag("--no-hv-param-assessment", help="Leave out advice about hypervisor parameters"),
        opt("-I", "--ignore-errors", kind="append", param="ignore_errors", metavar="ECODE"),
        opt("--verify-ssh-clutter", param="verify_clutter"))),
    "verify-disks": Command("", "Check disks, and activate those that are not active", sets="P",
                            opcode="cluster.ClusterVerifyDisks", run="cluster_verify_disks:run", options=(
        NODE_GROUP, opt("--no-strict", param="is_strict", help="Skip what other jobs have locked"))),
    "master-failover": Command("", "Make this node the master", run="cluster_failover:run", options=(
        flag("--no-voting", help="Do not ask the other nodes"), flag("--yes-do-it", help="Ask no questions"),
        opt("--ignore-offline-nodes", kind="str", metavar="VALUE", help="Accepted for compatibility: nodes "
            "that are marked offline are never asked"))),
    "master-ping": Command("", "Ask whether the master answers", run="cluster_simple:master_ping"),
    "getmaster": Command("", "Print the name of the master node", run="cluster_simple:getmaster"),
    "version": Command("", "Show versions", run="cluster_simple:version"),
    "rename": Command("NEW-NAME", "", (FORCE,), sets="N", opcode="cluster.ClusterRename", positional=("name",),
                      run="cluster_simple:rename"),
    "redist-conf": Command("", "Push configuration and files to all nodes", (
        flag("--yes-do-it", help="Submit the job even if the queue is drained"),), sets="SPN",
        opcode="cluster.ClusterRedistConf", run="cluster_simple:redist_conf"),
    "repair-disk-sizes": Command("[INSTANCE...]", "", sets="PN", opcode="cluster.ClusterRepairDiskSizes",
                                 positional=("instances",)),
    "queue": Command("drain|undrain|info", "Stop or resume accepting jobs", run="cluster_simple:queue"),
    "watcher": Command("pause|continue|info [DURATION]", "Pause the watcher", run="cluster_simple:watcher"),
    "renew-crypto": Command("", "Exchange certificates and keys of the cluster", run="cluster_renew_crypto:run",
                            options=(
        flag("--new-cluster-certificate", help="Make a new cluster certificate, and with it new node certificates"),
        flag("--new-node-certificates", help="Make a new certificate for each node"),
        flag("--new-rapi-certificate", help="Make a new certificate for the remote API"),
        opt("--rapi-certificate", kind="str", metavar="FILE", help="Install this one for the remote API"),
        flag("--new-spice-certificate", help="Make a new SPICE certificate and an authority for it"),
        opt("--spice-certificate", kind="str", metavar="FILE", help="Install this SPICE key and certificate"),
        opt("--spice-ca-certificate", kind="str", metavar="FILE", help="Certificate of the authority of that"),
        flag("--new-confd-hmac-key", help="Make a new key for the configuration daemon"),
        flag("--new-cluster-domain-secret", help="Make a new secret for moves between clusters"),
        opt("--cluster-domain-secret", kind="str", metavar="FILE", help="Install the secret that this file holds"),
        flag("--new-ssh-keys", help="Make new SSH keys for nodes, where the cluster manages them"),
        flag("--no-ssh-key-check", help="Accept any SSH host key"), FORCE, flag("-v", "--verbose", help="Say more"),
        *SSH_KEYS)),
    "epo": Command("[NODE|GROUP...]", "Power nodes off in an emergency, or on again", run="cluster_epo:run", options=(
        FORCE, flag("--on", help="Power on"), flag("--groups", help="The arguments are node groups"),
        flag("--all", help="The whole cluster"),
        opt("--oob-timeout", kind="uint", metavar="SECONDS", help="Wait so long for the out-of-band program"),
        opt("--shutdown-timeout", kind="uint", metavar="SECONDS", help="Give guests so long to shut down"),
        opt("--power-delay", kind="float", metavar="SECONDS", help="Pause between powering on two nodes"))),
    "upgrade": Command("", "Go over to another version", run="cluster_upgrade:run", options=(
        opt("--to", kind="str", metavar="VERSION", help="The version, MAJOR.MINOR"),
        flag("--resume", help="Continue an upgrade that was interrupted"))),
    "copyfile": Command("FILE", "Copy a file to all other nodes, to the same place", run="cluster_ssh:copyfile",
                        options=(
        NODES, flag("--use-replication-network", help="Copy over the secondary addresses"),
        opt("-g", "--node-group", kind="str", metavar="GROUP", help="Only to nodes of this group"))),
    "command": Command("COMMAND [ARGUMENT...]", "Run a command line on all nodes, one after the other, the master last",
                       run="cluster_ssh:run_command", options=(
        NODES, SHOW_NAMES, flag("--failure-only", help="Show only nodes on which it failed"),
        opt("-g", "--node-group", kind="str", metavar="GROUP", help="Only on nodes of this group"))),
    **tag_commands("cluster", ""),
    "search-tags": Command("REGEX", "", sets="P", opcode="tags.TagsSearch", positional=("pattern",),
                           run="tags:search"),
    "activate-master-ip": Command("", "", sets="N", opcode="cluster.ClusterActivateMasterIp"),
    "deactivate-master-ip": Command("", "", (flag("--yes", help="Ask no questions"),), "N",
                                    opcode="cluster.ClusterDeactivateMasterIp", run="submit:run_confirmed",
                                    data=("Nobody will reach the cluster at its address any more. Continue?", "yes",
                                          1)),
    "show-ispecs-cmd": Command("", "Show the command that makes a cluster with this instance policy",
                               run="ipolicy:show_cluster"),
}
