# SPDX-License-Identifier: BSD-2-Clause
"""A guest on a logical volume: made, stopped, started, rebooted, grown, removed."""

from qa import work
from qa.cluster.cluster import Cluster, wait_until
from qa.cluster.guest import recorder


def run(cluster: Cluster) -> None:
    life(cluster, "plain")


def life(cluster: Cluster, template: str) -> None:
    """Through everything an instance of this template goes through on one node."""
    with recorder(cluster, f"{template}1", template, "node2") as guest:
        guest.wait_for_records(20)
        work.say(f"{guest.name} runs on {guest.primary}; {guest.check()} records on {guest.device()}")
        cluster.gnt("instance", "shutdown", guest.name)
        if "BYE" not in {line.text for line in guest.console.lines()}:
            work.say("the guest was ended without the power button")
        cluster.gnt("instance", "startup", guest.name)
        guest.wait_for_records(5)
        cluster.gnt("instance", "reboot", guest.name)
        wait_until(lambda: sum(line.text == "UP" for line in guest.console.lines()) >= 2, "the guest boots again",
                   seconds=60)
        guest.wait_for_records(5)
        work.say(f"stopped, started, rebooted: {guest.check()} records")
        cluster.verify()
