"""How many scenes, and with which sensors they are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

from limbeck.errors import InputError
from limbeck.settings import NonNegativeFloat, Probability, Range, Seed, Share, check_settings, check_value

Layout = Literal["semantickitti", "nuscenes", "scans"]

CAMERAS: dict[Layout, int] = {"semantickitti": 1, "nuscenes": 6}
"""The cameras of each official layout; `scans` may have any number."""
MOST_CAMERAS = 6

# The sequences of SemanticKITTI by part; a scene keeps its number, and so its world, whatever their count.
_TRAIN, _VALIDATION, _TEST = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10), (8,), tuple(range(11, 22))
_LEAST, _MOST = 3, len(_TRAIN) + len(_VALIDATION) + len(_TEST)
_VIEW_OF_ONE, _VIEW = 80.0, 70.0  # degrees, as KITTI's colour cameras and nuScenes' cameras have them
_Side = Annotated[int, Range(ge=16, le=2048)]


@dataclass(frozen=True)
class StreetSettings:
    """What to draw. The same settings give the same bytes in every file.

    A scene is a drive along a street of its own: a sequence of SemanticKITTI, a scene of nuScenes. A frame is one turn
    of the LiDAR and one picture from every camera.

    Attributes:
        seed: of everything; a scene's frame looks the same whatever the numbers of scenes and frames.
        scenes: in all. One is for validation, a fifth (and those that do not fit in training) for test, at most 10 for
            training.
        frames: of each scene.
        step: metres driven between two frames.
        night: share of the frames that are at night: dark, noisy pictures; the LiDAR does not change.
        cameras: from 1 to 6: the first to the front, the second and the third to the front right and left, then to the
            back, its left and its right; None: as many as the layout has, and 1 in memory and in the layout `scans`.
        width: pixels of a picture.
        height: pixels of a picture.
        view: a camera's horizontal field of view in degrees; None: 80 for one camera, 70 for each of several.
        beams: of the LiDAR.
        azimuths: measurements of a beam in a turn.
        lowest: elevation of the lowest beam in degrees.
        highest: elevation of the highest beam in degrees; the others lie evenly between.
        mounting: metres of the LiDAR above the road.
        reach: the longest range in metres.
        range_noise: standard deviation of a range in metres.
        intensity_noise: standard deviation of an intensity, whose scale is [0, 1].
        dropout: share of the returns that are lost.
        jpeg_quality: of the layout `nuscenes`, whose pictures are JPEG.

    Raises:
        InputError: one line that names the argument.
    """

    seed: Seed = 0
    scenes: Annotated[int, Range(ge=_LEAST, le=_MOST)] = 10
    frames: Annotated[int, Range(ge=1, le=1000)] = 20
    step: Annotated[float, Range(ge=0.1, le=20)] = 10.0
    night: Probability = 0.3
    cameras: Annotated[int | None, Range(ge=1, le=MOST_CAMERAS)] = None
    width: _Side = 320
    height: _Side = 96
    view: Annotated[float | None, Range(ge=20, le=120)] = None
    beams: Annotated[int, Range(ge=2, le=128)] = 32
    azimuths: Annotated[int, Range(ge=16, le=4096)] = 512
    lowest: Annotated[float, Range(ge=-60, le=30)] = -24.0
    highest: Annotated[float, Range(ge=-60, le=30)] = 4.0
    mounting: Annotated[float, Range(ge=1, le=3)] = 1.8
    reach: Annotated[float, Range(ge=10, le=120)] = 60.0
    range_noise: NonNegativeFloat = 0.02
    intensity_noise: NonNegativeFloat = 0.02
    dropout: Share = 0.05
    jpeg_quality: Annotated[int, Range(ge=1, le=100)] = 95

    def __post_init__(self) -> None:
        check_settings(self)
        if self.lowest >= self.highest:
            raise InputError(f"lowest must be below highest ({self.highest}), not {self.lowest}")

    def __len__(self) -> int:
        """Frames in all."""
        return self.scenes * self.frames

    @property
    def ring(self) -> int:
        """How many cameras there are."""
        return self.cameras or 1

    @property
    def field_of_view(self) -> float:
        """A camera's horizontal field of view in degrees."""
        if self.view is not None:
            return self.view
        return _VIEW_OF_ONE if self.ring == 1 else _VIEW

    def splits(self) -> dict[str, tuple[int, ...]]:
        """The numbers of the scenes of `train`, `validation` and `test`: those of SemanticKITTI's sequences."""
        test = max(1, self.scenes // 5, self.scenes - len(_TRAIN) - len(_VALIDATION))
        train = self.scenes - test - len(_VALIDATION)
        return {"train": _TRAIN[:train], "validation": _VALIDATION, "test": _TEST[:test]}

    def numbers(self) -> tuple[int, ...]:
        """The scenes' numbers in the order of the frames' indices: training, validation, test."""
        return tuple(number for part in self.splits().values() for number in part)

    def place(self, index: int) -> tuple[int, int]:
        """The number of the scene, and the frame in it, of an index in [0, len(settings)).

        Raises:
            InputError: there is no such frame.
        """
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self):
            raise InputError(f"index must be a whole number in [0, {len(self)}), not {index!r}")
        return self.numbers()[index // self.frames], index % self.frames


def check_layout(layout: str) -> Layout:
    """The layout, if it is one.

    Raises:
        InputError: it is none.
    """
    check_value("layout", layout, Layout)
    return cast(Layout, layout)
