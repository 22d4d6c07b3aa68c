"""What can be seen on this machine: the running node, and the ports."""

import errno

from depinmesh import Config, MeshError, Wallet
from depinmesh.cli.doctor.finding import Finding
from depinmesh.cli.ports import PortFault, port_faults
from depinmesh.cli.views.report import fetch


def status(ops: str) -> tuple[Finding, Wallet | None]:
    """Ask the running node how it is; return also who it is."""
    try:
        report = fetch(ops)
    except MeshError as error:
        return Finding("running node", "fault", str(error), "start it with --ops, or leave --ops out here"), None
    wallet = Wallet(report["node"]["wallet"])
    if failed := [f"{check['name']} ({check['detail']})" for check in report["checks"] if not check["ok"]]:
        remedy = "see the findings below, and the log of the node"
        return Finding("running node", "fault", f"not ready: {', '.join(failed)}", remedy), wallet
    return Finding("running node", "ok", f"ready, with {len(report['peers'])} peers"), wallet


def ports(config: Config, *, runs_here: bool) -> list[Finding]:
    """Look whether the node could listen, or does."""
    faults = port_faults(config.listen)
    if runs_here:
        return [Finding("ports", "ok", "the node runs and has them")]
    if faults:
        return [_finding(fault) for fault in faults]
    used = {"QUIC": config.listen.quic_port, "TCP": config.listen.tcp_port}
    free = [f"{name} {port or 'any'}" for name, port in used.items() if port is not None]
    return [Finding("ports", "ok", f"free: {', '.join(free)}, on {', '.join(config.listen.hosts)}")]


def _finding(fault: PortFault) -> Finding:
    place = f"{fault.protocol} {fault.port} on {fault.host}"
    option = "listen.quic_port" if fault.protocol == "udp" else "listen.tcp_port"
    if fault.is_taken:
        tool = f"ss -lnp{fault.protocol[0]} 'sport = {fault.port}'"
        remedy = f"find who has it by `{tool}`, or change {option}; if it is this node, say where its --ops is"
        return Finding("ports", "fault", f"{place} is taken", remedy)
    if fault.error in (errno.EACCES, errno.EPERM):
        return Finding("ports", "fault", f"{place} is not allowed", f"take a port above 1023 as {option}")
    if fault.error == errno.EADDRNOTAVAIL:
        return Finding("ports", "fault", f"{fault.host} is no address of this machine", "change listen.hosts")
    return Finding("ports", "fault", f"{place}: {fault.reason}", f"change {option} or listen.hosts")
