# SPDX-License-Identifier: BSD-2-Clause
"""Own parameters of instances: from what was typed to what is recorded."""

from collections.abc import Mapping
from typing import Any

from gantry.config import effective
from gantry.config.config import Config
from gantry.constants import MAX_NICS
from gantry.errors import NotUnique, WrongInput
from gantry.objects import hvparams
from gantry.objects.base import Params
from gantry.objects.instance import Instance
from gantry.objects.params import check_be_effective, expand_memory, merge_be, merge_own


def merge_hv(hypervisor: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> Params:
    """Own hypervisor parameters after a command; raises WrongInput for those of the whole cluster."""
    globals_given = sorted(hvparams.GLOBAL & given.keys())
    if globals_given:
        raise WrongInput(detail=f"The following hypervisor parameters are global and cannot be customized at instance "
                                f"level, please use cluster modify instead: {', '.join(globals_given)}")
    return merge_own(own, given, hvparams.schema(hypervisor))


def check_merged(config: Config, instance: Instance) -> None:
    """Refuse parameters that contradict each other once all levels are merged."""
    be = effective.beparams(config, instance)
    check_be_effective(be)
    hvparams.check_merged(instance.hypervisor, effective.hvparams(config, instance), vcpus=be["vcpus"])


def once(config: Config, instance: Instance, hv: Mapping[str, Any], be: Mapping[str, Any]) -> tuple[Params, Params]:
    """Overrides for one start: `default` takes the inherited value."""
    own_hv = merge_hv(instance.hypervisor, {}, hv)
    own_be = merge_be({}, be)
    above_hv = effective.hvparams_above(config.cluster, instance.hypervisor, instance.os)
    above_be = effective.beparams_above(config.cluster)
    hv_now = {name: above_hv.get(name) for name in hv if name not in own_hv} | own_hv
    be_now = {name: above_be[name] for name in expand_memory(be) if name not in own_be} | own_be
    check_be_effective(effective.beparams(config, instance) | be_now)
    return hv_now, be_now


def without_defaults(own: Mapping[str, Any], above: Mapping[str, Any]) -> Params:
    """Own values that differ from the inherited ones."""
    return {name: value for name, value in own.items() if name not in above or above[name] != value}


def check_nics(instance: Instance) -> None:
    """Refuse too many interfaces, and two of one name or address."""
    if len(instance.nics) > MAX_NICS:
        raise WrongInput(detail=f"Instance has too many network interfaces ({len(instance.nics)}), no more than "
                                f"{MAX_NICS} are possible")
    for what, values in (("NIC name", [nic.name for nic in instance.nics if nic.name]),
                         ("MAC address", [nic.mac for nic in instance.nics])):
        for value in values:
            if values.count(value) > 1:
                raise NotUnique(detail=f"{what} {value} is given twice")
