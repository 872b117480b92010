"""Both branches: points and pictures, fused, each with a bottleneck, and four predictions of every point."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

from torch import Tensor, nn

from limbeck.nn import Bottleneck, ClassificationHead, PictureNormalization
from limbeck.nn.sparse import PointVoxels
from limbeck.nn.sparse.backends import Backend
from limbeck.segmentation.networks.fusion import FusionKind, LIFusion
from limbeck.segmentation.networks.sampling import Sight, check_sight, sampled
from limbeck.segmentation.networks.spvcnn import SPVCNN
from limbeck.segmentation.networks.swiftnet import SwiftNet

SCALES = ("shallow", "coarse", "middle", "final")  # of `SwiftMaps`, which feed the points' depths 0 to 3


class PerPoint(NamedTuple):
    """One tensor for each of the four: observations v and representations z of the camera (1) and the LiDAR (2).

    Attributes:
        v1: (seen, ...), of the points that a camera sees.
        z1: (seen, ...).
        v2: (points, ...), of all points.
        z2: (points, ...).
    """

    v1: Tensor
    z1: Tensor
    v2: Tensor
    z2: Tensor


class PointPredictions(NamedTuple):
    """What `TwoBranchNetwork` says of the points of a batch.

    Attributes:
        logits: the four predictions, last dimension classes.
        features: what they were made of.
        rows: (seen,) int64, ascending: the points that v1 and z1 are of, so that v2[rows] goes with v1.
    """

    logits: PerPoint
    features: PerPoint
    rows: Tensor


class TwoBranchNetwork(nn.Module):
    """SPVCNN on points and SwiftNet on pictures, fused at several depths, each with an information bottleneck.

    The observation of the camera, v1, is SwiftNet's last map at a point's pixel; that of the LiDAR, v2, the last
    feature of SPVCNN, which the pictures have been fused into. A bottleneck makes z1 and z2 of them, and a linear head
    predicts the class from each of the four. A point that no camera sees passes every fusion as it is and has no v1 and
    z1. Without pictures, or where none of the points is seen, SPVCNN works alone.

    What the paper leaves open and is ours: which maps feed which depth (SwiftNet's first map, pyramid, ladder at an
    eighth, last map feed depths 0, 1, 2 and 3), the bottlenecks' widths, and that heads are linear.

    Args:
        classes: number of classes.
        inside: channels of a point.
        lidar_width: factor on SPVCNN's widths.
        camera: whether there is an image branch; without one there is no fusion, and v1 and z1 have no rows.
        image_width: maps of SwiftNet's first layer, 64 in the paper.
        image_features: maps of SwiftNet's ladder, the width of v1; 128 in the paper.
        fusion: what joins them, see `LIFusion`; "none" leaves the branches apart, so that predictions from v2 and z2
            need no picture.
        fused: at which of the depths 0 to 3.
        hidden: widths of the bottlenecks' hidden layers.
        representation: width of z1 and z2.
        stochastic: sample z while training, see `limbeck.nn.Bottleneck`.
        dropout: of SPVCNN.
        normalization: of pictures, see `limbeck.nn.PictureNormalization`.
        backend: see `SPVCNN`.

    Shapes: `forward`.

    Raises:
        ValueError: a width is not positive, a depth or an option is unknown.

    Source: Tian et al. 2022, §5.3.2 and appendix B.2.

    Example:
        >>> import torch
        >>> network = TwoBranchNetwork(3, lidar_width=0.25, camera=False)
        >>> points = PointVoxels(torch.tensor([[0, 5, 5, 5], [0, 4, 5, 5]]))
        >>> network(torch.zeros(2, 4), points).logits.z2.shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        classes: int,
        *,
        inside: int = 4,
        lidar_width: float = 1.0,
        camera: bool = True,
        image_width: int = 64,
        image_features: int = 128,
        fusion: FusionKind | Literal["none"] = "attention",
        fused: Sequence[int] = (0, 1, 2, 3),
        hidden: Sequence[int] = (128,),
        representation: int = 64,
        stochastic: bool = False,
        dropout: float = 0.3,
        normalization: Literal["imagenet", "picture"] = "imagenet",
        backend: Backend = "torch",
    ) -> None:
        super().__init__()
        if len(set(fused)) != len(fused) or not set(fused) <= set(range(4)):
            raise ValueError(f"fused must be different depths from 0 to 3, got {tuple(fused)}")
        self.lidar = SPVCNN(inside, width=lidar_width, dropout=dropout, backend=backend)
        self.normalization = PictureNormalization(normalization)
        self.image = SwiftNet(width=image_width, features=image_features) if camera else None
        self.fusions = nn.ModuleDict()
        if self.image is not None and fusion != "none":
            for depth in sorted(fused):
                width = self.image.widths[SCALES[depth]]
                self.fusions[str(depth)] = LIFusion(width, self.lidar.widths[depth], kind=fusion)
        self._v1_width = image_features
        widths = {"1": image_features, "2": self.lidar.widths[3]}
        self.bottlenecks = nn.ModuleDict(
            {
                sensor: Bottleneck(width, hidden=hidden, features=representation, stochastic=stochastic)
                for sensor, width in widths.items()
            }
        )
        self.heads = nn.ModuleDict()
        for sensor, width in widths.items():
            self.heads[f"v{sensor}"] = ClassificationHead(width, classes)
            self.heads[f"z{sensor}"] = ClassificationHead(representation, classes)

    def forward(
        self, features: Tensor, points: PointVoxels, pictures: Tensor | None = None, sight: Sight | None = None
    ) -> PointPredictions:
        """Predictions of every point.

        Args:
            features: (points, inside).
            points: their voxels.
            pictures: (pictures, 3, height, width), red, green and blue in [0, 1]; None, or none of them, where there is
                no camera.
            sight: where the points are seen; None where there is no camera.

        Raises:
            ValueError: shapes disagree, only one of `pictures` and `sight` is given, or a pixel or the number of a
                picture is out of range.
        """
        if (pictures is None) != (sight is None):
            raise ValueError("pictures and sight go together: give both, or neither where there is no camera")
        maps: dict[str, Tensor] = {}
        rows = points.rows(0).new_empty(0)
        pixels, which = features.new_empty(0, 2), rows
        if pictures is not None and sight is not None:
            check_sight(sight, len(points), len(pictures))
            if self.image is not None and len(pictures):
                maps = self.image(self.normalization(pictures))._asdict()
                rows = sight.seen.nonzero().squeeze(1)
                pixels, which = sight.pixels[rows], sight.pictures[rows]

        @cache
        def seen(scale: str) -> Tensor:
            return sampled(maps[scale], pixels, which)

        def fuse(depth: int, own: Tensor) -> Tensor:
            if not maps or str(depth) not in self.fusions:
                return own
            joined = self.fusions[str(depth)](own.index_select(0, rows), seen(SCALES[depth]))
            return own.index_copy(0, rows, joined.to(own.dtype))

        v2 = self.lidar(features, points, fuse=fuse)
        v1 = seen("final") if maps else v2.new_empty(0, self._v1_width)
        of = PerPoint(v1, self.bottlenecks["1"](v1), v2, self.bottlenecks["2"](v2))
        logits = PerPoint(*(self.heads[name](part) for name, part in zip(PerPoint._fields, of, strict=True)))
        return PointPredictions(logits, of, rows)
