"""The published margins, as plain numbers for the search space too. Must load no heavy library."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from search_space.candidate import HeadName

PUBLISHED_MARGINS: Mapping[HeadName, float] = MappingProxyType(
    {
        "CosFace": 0.35,
        "ArcFace": 0.5,
        "MagFace": 0.45,
        "SphereFace2": 0.4,
        "AdaFace": 0.4,
        "CurricularFace": 0.5,
        "ElasticFace": 0.5,
        "SubCenterArcFace": 0.5,
    }
)
"""Head -> its published margin, in the head's own unit.

CosFace: taken off the cosine. ArcFace, CurricularFace, SubCenterArcFace: radians. ElasticFace:
radians, the mean. MagFace: radians, at the smallest embedding length. SphereFace2: taken off the
sharpened similarity, which lies between -1 and 1, and added to those of the other classes.
AdaFace: radians and cosine at once.
"""

LARGEST_MARGIN = 1.57
"""Just below pi / 2, in any unit; from there on an added angle would turn every cosine around."""
