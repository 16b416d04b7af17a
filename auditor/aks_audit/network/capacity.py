"""How many nodes a pool may have: at full scale-out, and for the length of an upgrade.

Source: https://learn.microsoft.com/azure/aks/upgrade-aks-node-pools-rolling. A maximum surge is a number of nodes or a
percentage of the pool's size, rounded up, and never more than the pool's size.
"""

import re

from aks_audit.facts import AgentPool, Malformed

DEFAULT_MAX_SURGE = "10%"
LARGEST_MAX_SURGE = "100%"


def full_scale(pool: AgentPool) -> int:
    """The most nodes that a pool is scaled to: its autoscaler's maximum, or else its count.

    Raises:
        Malformed: the body does not name that number.
    """
    automatic = pool.enable_auto_scaling
    if automatic is None:
        automatic = pool.max_count is not None  # Azure sends a maximum with the autoscaler alone
    nodes = pool.max_count if automatic else pool.count
    if nodes is None or nodes < 0:
        name = "maxCount" if automatic else "count"
        raise Malformed(pool.document.id, f"{pool.pointer}/{name}", f"a pool without its {name}")
    return nodes


def full_scale_with_surge(pool: AgentPool, *, unstated: str = DEFAULT_MAX_SURGE) -> int:
    """The most nodes of a pool while it is upgraded at full scale; `unstated` is taken where it names no surge.

    Bodies of older API versions name none, and mean 10 % or one node; `LARGEST_MAX_SURGE` is the most it can be.

    Raises:
        Malformed: the body does not name the pool's size, or its surge is neither a number nor a percentage.
    """
    nodes = full_scale(pool)
    written = pool.max_surge or unstated
    found = re.fullmatch(r"([0-9]{1,9})(%?)", written)
    if not found:
        problem = f"{written!r} is neither a number of nodes nor a percentage"
        raise Malformed(pool.document.id, f"{pool.pointer}/upgradeSettings/maxSurge", problem)
    amount = int(found[1])
    surge = -(-nodes * amount // 100) if found[2] else amount
    return nodes + min(surge, nodes)
