"""The timm backbones that ship with the space. Plain names: nothing here loads timm.

Every shipped variant works at 64 and at 112 pixels with one or three channels; tests try them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_space.candidate import SpaceSettings

# Within a family by parameter count, smallest first. `test` holds timm's miniatures for trying
# things out on a CPU.
SHIPPED_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "convnext": (
            "convnext_atto",
            "convnext_femto",
            "convnext_pico",
            "convnext_nano",
            "convnext_tiny",
        ),
        "densenet": ("densenet121", "densenet169", "densenet201", "densenet161"),
        "dpn": ("dpn48b", "dpn68", "dpn92", "dpn107"),
        "edgenext": ("edgenext_xx_small", "edgenext_x_small", "edgenext_small", "edgenext_base"),
        "efficientnet": (
            "efficientnet_b0",
            "efficientnet_b1",
            "efficientnet_b2",
            "efficientnet_b3",
        ),
        "fastvit": ("fastvit_t8", "fastvit_t12", "fastvit_sa12"),
        "fbnetv3": ("fbnetv3_b", "fbnetv3_d", "fbnetv3_g"),
        "ghostnet": ("ghostnet_050", "ghostnet_100", "ghostnet_130"),
        "mobilenetv2": (
            "mobilenetv2_035",
            "mobilenetv2_050",
            "mobilenetv2_100",
            "mobilenetv2_140",
        ),
        "mobilenetv3": (
            "mobilenetv3_small_050",
            "mobilenetv3_small_100",
            "mobilenetv3_large_100",
        ),
        "regnetx": ("regnetx_002", "regnetx_004", "regnetx_008", "regnetx_016"),
        "resnet": ("resnet10t", "resnet18", "resnet34", "resnet50"),
        "rexnet": ("rexnet_100", "rexnet_130", "rexnet_150", "rexnet_200"),
        "swin": (
            "swin_tiny_patch4_window7_224",
            "swin_small_patch4_window7_224",
            "swin_base_patch4_window7_224",
        ),
        "test": ("test_efficientnet", "test_byobnet", "test_resnet"),
        "twins": ("twins_svt_small", "twins_pcpvt_small", "twins_svt_base"),
        "vit": (
            "vit_tiny_patch16_224",
            # Four times the patches of the next: a face of 112 pixels has only 49 of 16.
            "vit_small_patch8_224",
            "vit_small_patch16_224",
            "vit_base_patch16_224",
        ),
        "vovnet": ("ese_vovnet19b_dw", "ese_vovnet39b", "ese_vovnet57b"),
    }
)

# timm drops whole residual branches in all variants of these; the others have nothing to drop.
DROP_PATH_FAMILIES = (
    "convnext",
    "edgenext",
    "efficientnet",
    "fastvit",
    "fbnetv3",
    "mobilenetv2",
    "mobilenetv3",
    "regnetx",
    "resnet",
    "rexnet",
    "swin",
    "test",
    "twins",
    "vit",
    "vovnet",
)

# The backbones of the predecessor's study: the name each had -> its name in today's timm, smallest
# first. `gluon_`, `ig_`, `jx_` and `_ns` told whose pretrained weights, which play no part here.
PREDECESSOR_BACKBONES: Mapping[str, str] = MappingProxyType(
    {
        "ghostnet_100": "ghostnet_100",
        "mobilenetv3_large_100": "mobilenetv3_large_100",
        "rexnet_200": "rexnet_200",
        "fbnetv3_g": "fbnetv3_g",
        "coat_lite_small": "coat_lite_small",
        "xception": "legacy_xception",
        # Needs more than 64 pixels, like its two siblings below.
        "gluon_inception_v3": "inception_v3",
        # Today's tnt_s_patch16_224 embeds pixels in another way and has other norms.
        "tnt_s_patch16_224": "tnt_s_legacy_patch16_224",
        "ese_vovnet39b": "ese_vovnet39b",
        "cspdarknet53": "cspdarknet53",
        "selecsls60b": "selecsls60b",
        "xception65": "xception65",
        "visformer_small": "visformer_small",
        # Needs a multiple of 32 pixels, so not 112.
        "dla102x2": "dla102x2",
        "inception_v4": "inception_v4",
        "inception_resnet_v2": "inception_resnet_v2",
        "resnetrs101": "resnetrs101",
        "tf_efficientnet_b7_ns": "tf_efficientnet_b7",
        "jx_nest_base": "nest_base_jx",
        "dpn107": "dpn107",
        "convit_base": "convit_base",
        "swin_base_patch4_window7_224": "swin_base_patch4_window7_224",
        "ig_resnext101_32x8d": "resnext101_32x8d",
        "twins_svt_large": "twins_svt_large",
        "legacy_senet154": "legacy_senet154",
        # Like dla102x2.
        "hrnet_w64": "hrnet_w64",
        "vgg19": "vgg19",
        "vgg19_bn": "vgg19_bn",
    }
)

# Those of its 29 that timm has no more, and why nothing stands in for them.
PREDECESSOR_GONE: Mapping[str, str] = MappingProxyType(
    {
        "gluon_xception65": "timm dropped the port from GluonCV, whose layers differ in detail "
        "from those of xception65, which the study has too",
    }
)

# What a run file may ask for by family name alone.
NAMED_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {**SHIPPED_FAMILIES, "predecessor": tuple(PREDECESSOR_BACKBONES.values())}
)


def families_in_use(settings: SpaceSettings) -> dict[str, tuple[str, ...]]:
    """Family -> variants that the settings really search, sorted by family name.

    Sorted, so that a file that keeps its keys in another order describes the same space. Empty
    where no architecture comes from timm; the shipped list when the settings name no family; a
    family without variants is the one of that name in `NAMED_FAMILIES`, if there is one.
    """
    if "timm" not in settings.sources_in_use:
        return {}
    families = settings.families or SHIPPED_FAMILIES
    return {
        name: tuple(families[name]) or NAMED_FAMILIES.get(name, ()) for name in sorted(families)
    }


def drop_path_families_in_use(settings: SpaceSettings) -> tuple[str, ...]:
    """The families in use whose every variant knows drop path, sorted.

    Where the settings do not say, a family is one of them if it is shipped as such and holds no
    variant that is not shipped; of others nothing is known here.
    """
    families = families_in_use(settings)
    if settings.drop_path_families is not None:
        return tuple(name for name in families if name in settings.drop_path_families)
    return tuple(
        name
        for name, variants in families.items()
        if name in DROP_PATH_FAMILIES and set(variants) <= set(SHIPPED_FAMILIES[name])
    )
