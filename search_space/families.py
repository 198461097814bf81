"""The timm backbones that ship with the space. Plain names: nothing here loads timm.

Every variant listed works at 64 and at 112 pixels with one or three channels (a test builds each).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_space.candidate import SpaceSettings

# Within a family by parameter count, smallest first. `test` holds timm's miniatures for trying
# things out on a CPU.
SHIPPED_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dpn": ("dpn48b", "dpn68", "dpn92", "dpn107"),
        "mobilenetv3": (
            "mobilenetv3_small_050",
            "mobilenetv3_small_100",
            "mobilenetv3_large_100",
        ),
        "regnetx": ("regnetx_002", "regnetx_004", "regnetx_008", "regnetx_016"),
        "resnet": ("resnet10t", "resnet18", "resnet34", "resnet50"),
        "rexnet": ("rexnet_100", "rexnet_150", "rexnet_200"),
        "test": ("test_efficientnet", "test_byobnet", "test_resnet"),
        "vovnet": ("ese_vovnet19b_dw", "ese_vovnet39b"),
    }
)


def families_in_use(settings: SpaceSettings) -> dict[str, tuple[str, ...]]:
    """Family -> variants that the settings really search, sorted by family name.

    Sorted, so that a file that keeps its keys in another order describes the same space. Empty for
    the preset `paper`; the shipped list when the settings name no family.
    """
    if settings.preset == "paper":
        return {}
    families = settings.families or SHIPPED_FAMILIES
    return {name: tuple(families[name]) for name in sorted(families)}
