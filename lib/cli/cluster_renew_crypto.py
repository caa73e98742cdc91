# SPDX-License-Identifier: BSD-2-Clause
"""gnt-cluster renew-crypto."""

import secrets
from pathlib import Path
from typing import Any

from gantry import paths
from gantry.cli import jobs, output, submit
from gantry.cli.context import Context
from gantry.errors import WrongInput, WrongState

BEGIN = 'Updating certificates now. Running "gnt-cluster verify"  is recommended after this operation.'
END = 'All requested certificates and keys have been replaced. Running "gnt-cluster verify" now is recommended.'
QUESTION = ("This requires all daemons on all nodes to be restarted and may take some time. Instances run on. "
            "Continue?")
_EITHER = (("new_rapi_certificate", "rapi_certificate"), ("new_cluster_domain_secret", "cluster_domain_secret"),
           ("new_spice_certificate", "spice_certificate"))


def run(ctx: Context) -> int:
    """Exchange what the options say; instances run on."""
    problem = _problem(ctx)
    if problem:
        output.error(problem)
        return 1
    output.line(BEGIN)
    wanted = [option.dest for option in ctx.command.options if ctx.option(option.dest) and option.dest not in (
        "force", "verbose", "no_ssh_key_check", "ssh_key_type", "ssh_key_bits")]
    if wanted:
        if ctx.option("new_ssh_keys"):
            raise WrongInput(detail="The SSH keys of this cluster's nodes are not made by it, so it cannot renew them; "
                                    "use what distributes them")
        if not submit.confirm(ctx, QUESTION):
            return 1
        _require_master(ctx)
        _renew(ctx)
    output.line(END)
    return 0


def _problem(ctx: Context) -> str:
    """Why these options do not go together; empty when they do."""
    for new, given in _EITHER:
        if ctx.option(new) and ctx.option(given):
            return f"Only one of --{new.replace('_', '-')} and --{given.replace('_', '-')} can be given."
    if bool(ctx.option("spice_certificate")) != bool(ctx.option("spice_ca_certificate")):
        return "--spice-certificate and --spice-ca-certificate must be given together."
    return ""


def _require_master(ctx: Context) -> None:
    """A node that is not the master has no say, also when no daemon answers."""
    from gantry.utils import resolver

    file = paths.here().ssconf("master_node")
    master = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    if master != resolver.own_name():
        raise WrongState(detail=f"This is not the master node, please connect to node '{master}' and rerun the command"
                         if master else "This host is not part of a cluster, or the cluster is not initialized yet")


def _renew(ctx: Context) -> None:
    from gantry.bootstrap import renew_crypto
    from gantry.bootstrap.watcher_lock import hold

    output.line("Gathering cluster information")
    with renew_crypto.Members(check_key=not ctx.option("no_ssh_key_check")) as members:
        files = _new_files(ctx)
        output.line("Blocking watcher")
        with hold():
            if files:
                renew_crypto.own_files(files, members, _say)
            if ctx.option("new_cluster_certificate"):
                renew_crypto.cluster_certificate(members, _say)
    if ctx.option("new_cluster_certificate") or ctx.option("new_node_certificates"):
        fresh = bool(ctx.option("new_node_certificates")) and not ctx.option("new_cluster_certificate")
        jobs.run(ctx, ctx.opcode("OP_CLUSTER_RENEW_CRYPTO", node_certificates=fresh))


def _say(text: str) -> None:
    output.line(text)
    output.flush()


def _new_files(ctx: Context) -> dict[Path, str]:
    """Text by file, of what is not the cluster's own certificate."""
    from gantry.bootstrap.renew_crypto import read_given
    from gantry.utils import x509

    here = paths.here()
    found: dict[Path, str] = {}
    name = here.ssconf("cluster_name").read_text(encoding="utf-8").strip()

    def given(option: str) -> Any:
        return ctx.option(option)

    if given("new_rapi_certificate"):
        found[here.rapi_certificate] = x509.self_signed(name)
    elif given("rapi_certificate"):
        found[here.rapi_certificate] = read_given(given("rapi_certificate"))
    if given("new_spice_certificate"):
        authority = x509.make_authority(name)
        found[here.spice_certificate] = x509.issue(authority, common_name=name, alt_names=[name])
        found[here.spice_ca_certificate] = x509.certificate_only(authority)
    elif given("spice_certificate"):
        found[here.spice_certificate] = read_given(given("spice_certificate"))
        found[here.spice_ca_certificate] = read_given(given("spice_ca_certificate"))
    if given("new_confd_hmac_key"):
        found[here.confd_key] = secrets.token_hex(20) + "\n"
    if given("new_cluster_domain_secret"):
        found[here.cluster_domain_secret] = secrets.token_hex(20) + "\n"
    elif given("cluster_domain_secret"):
        found[here.cluster_domain_secret] = _secret(given("cluster_domain_secret"))
    return found


def _secret(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise WrongInput(detail=f"Cannot read the secret from {path}: {err}") from err
    if not text:
        raise WrongInput(detail=f"{path} is empty, it holds no secret")
    return text + "\n"
