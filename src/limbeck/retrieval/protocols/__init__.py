"""The field's evaluation protocols as named objects: who is asked, what is searched, which rules hold."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.errors import InputError
from limbeck.retrieval.protocols.base import TRIALS, Protocol, Trial
from limbeck.retrieval.protocols.cameras import CUHK03NP, LTCC, MSMT17, PRCC, Market, VehicleID, VeRi
from limbeck.retrieval.protocols.cross_modal import LLCM, SYSU, CrossModal, Direction, Permutations, RegDB
from limbeck.retrieval.protocols.metric_learning import CUB, SOP, Cars, InShop, LeaveOneOut

__all__ = [
    "CUB",
    "CUHK03NP",
    "LLCM",
    "LTCC",
    "MSMT17",
    "PRCC",
    "SOP",
    "SYSU",
    "TRIALS",
    "Cars",
    "CrossModal",
    "Direction",
    "InShop",
    "LeaveOneOut",
    "Market",
    "Permutations",
    "Protocol",
    "RegDB",
    "Trial",
    "VeRi",
    "VehicleID",
    "named_protocols",
    "protocol_names",
]


def named_protocols(name: str, *, permutations: Permutations | None = None) -> list[Protocol]:
    """The protocols of that name, or of all names that begin with it: "sysu-all" is both numbers of shots.

    "llcm" does not include "llcm-v2i-deen-script", whose figures are not comparable; ask for it by its whole name.

    Args:
        name: one of `protocol_names`, or how one begins, up to a hyphen.
        permutations: of SYSU-MM01, for its "matlab" sampler.

    Raises:
        InputError: there is none, or permutations are given for another set.
    """
    known = _known(permutations)
    if permutations is not None and not name.startswith("sysu"):
        raise InputError(f"permutations belong to the sysu protocols, not to {name!r}")
    if name in known:
        return [known[name]]
    family = [protocol for other, protocol in known.items() if other.startswith(f"{name}-")]
    family = [protocol for protocol in family if not getattr(protocol, "swapped", False)]
    if not family:
        raise InputError(f"there is no protocol {name!r}: choose from {', '.join(known)}")
    return family


def protocol_names() -> list[str]:
    """Every protocol's name."""
    return list(_known(None))


def _known(permutations: Permutations | None) -> dict[str, Protocol]:
    protocols: Sequence[Protocol] = (
        *(SYSU(mode, shots, permutations) for mode in ("all", "indoor") for shots in (1, 10)),
        RegDB("v2i"),
        RegDB("i2v"),
        LLCM("v2i"),
        LLCM("i2v"),
        LLCM("v2i", swapped=True),
        Market(),
        MSMT17(),
        CUHK03NP(),
        VeRi(),
        VehicleID(),
        LTCC("standard"),
        LTCC("clothes"),
        *(PRCC(setting, shots) for setting in ("clothes", "same") for shots in ("single", "multi")),
        CrossModal("v2i"),
        CrossModal("i2v"),
        CUB(),
        Cars(),
        SOP(),
        InShop(),
        LeaveOneOut(),
    )
    return {protocol.name: protocol for protocol in protocols}
