"""What is wanted of a VIP, made to fit what VPP has where the wish leaves that open."""

from dataclasses import replace

from vpplb.model.vip import AppServer, Vip


def fit_vip(want: Vip, have: Vip | None, *, adopting: bool) -> Vip:
    """Return what the VIP shall be, given what it is.

    `adopting`: the VIP was in service when the wish came, so while that is tentative its servers
    stay, those that are undecided with the weights that they have.
    """
    if have is None:
        return want
    if want.any_length and want.settings != have.settings:
        same = replace(want.settings, table_length=have.settings.table_length)
        if same == have.settings:  # else it is to be made anew in any case
            want = replace(want, settings=same)
    if not (want.tentative and adopting):
        return want
    servers = {address: AppServer(weight=one.weight) for address, one in have.servers.items()}
    for address, server in want.servers.items():
        present = servers[address].weight if address in servers else 0
        servers[address] = server._replace(weight=present) if server.undecided else server
    return replace(want, servers=servers)


def is_serving(vip: Vip | None) -> bool:
    return vip is not None and any(server.weight for server in vip.servers.values())
