# SPDX-License-Identifier: BSD-2-Clause
"""The whole way from a command line to a cluster: choose the source, load, prepare, measure, override, warn."""

import sys

from hbal.errors import Error, LoadError
from hbal.load.options import Options
from hbal.load.prepare import Overrides, Wishes, override, prepare
from hbal.model import ClusterData


def load(options: Options) -> ClusterData:
    """The cluster that the options name, ready to work on; consistency warnings go to stderr.  Raises Error."""
    return finish(read(options), options)


def read(options: Options) -> ClusterData:
    """The cluster as its source has it."""
    if sum(source is not None for source in (options.master, options.luxi, options.text_data)) > 1:
        raise Error("Only one of the rapi, luxi, and data files options should be given.")
    if options.master is not None:
        from hbal.load import rapi
        return rapi.load(options.master)
    if options.luxi is not None:
        from hbal.load import luxi
        return luxi.load(options.luxi)
    if options.simulate:
        from hbal.load import simulate
        return simulate.load(options.simulate)
    if options.text_data is not None:
        from hbal.load import text
        return text.load(options.text_data)
    if options.ialloc_src is not None:
        from hbal.load import iallocator
        return iallocator.cluster(iallocator.read(options.ialloc_src))
    raise LoadError("No backend selected! Exiting.")


def finish(data: ClusterData, options: Options) -> ClusterData:
    """Loaded data, ready to work on."""
    loads = {}
    if options.dynu_file is not None:
        from hbal.load import dynutil
        loads = dynutil.load(options.dynu_file)
    prepared = prepare(data, Wishes(
        loads, options.ignore_dynu, options.exclusion_tags, options.select_instances, options.exclude_instances,
        options.static_kvm_node_memory))
    if options.mond and not options.ignore_dynu:
        prepared = _measured(prepared, options)
    if options.verbosity > 0:
        _warn(prepared)
    return override(prepared, Overrides(options.offline, options.max_cpu, options.min_disk))


def _measured(data: ClusterData, options: Options) -> ClusterData:
    from hbal.load import mond

    collector = mond.XEN if options.mond_xen else mond.TOTAL
    if options.mond_data is not None:
        reports = mond.from_file(options.mond_data, collector)
    else:
        reports = mond.from_nodes([node.name for node in data.nodes], collector, _say)
    measured = mond.applied(data, reports, collector)
    if measured is not None:
        return measured
    _say(f"Didn't receive an answer by all MonDs, {collector}'s data will be ignored.")
    if options.exit_on_missing_mond_data:
        raise Error("Not all required data available")
    return data


def _warn(data: ClusterData) -> None:
    from hbal.load.check import warnings

    found = warnings(data)
    if found:
        _say("\n".join(("Warning: cluster has inconsistent data:", *(f"  - {line}" for line in found), "")))


def _say(text: str) -> None:
    print(text, file=sys.stderr)
