"""How many people, how many pictures, and how hard they are to tell apart and to recognise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

from limbeck.errors import InputError
from limbeck.settings import Probability, Range, Seed, check_settings, check_value

Difficulty = Literal["easy", "standard", "hard"]
Layout = Literal["sysu", "regdb", "csv"]

_MOST = 9999  # identities, and pictures of one at a camera: file names have four digits for either
_Side = Annotated[int, Range(ge=16, le=1024)]
IMAGES_PER_CAMERA = {"sysu": 4, "regdb": 10, "csv": 4}


@dataclass(frozen=True)
class Level:
    """How distinctive people are, and how strong every nuisance is.

    Attributes:
        spread: factor on the spread of shapes and gaits.
        accessories: chance of a bag; a third of it is the chance of a hat.
        prints: chance that a garment has a print.
        infrared_prints: chance that a print differs in infrared reflectance, so that the infrared camera sees it.
        view: largest angle from a frontal or, as often, a rear view; 90 is every view.
        shift: largest misplacement of the box, as a share of its sides.
        scale: standard deviation of the box's logarithmic scale.
        light: standard deviation of the logarithmic brightness and contrast, and the largest gradient.
        blur: largest blur, in pixels of a 128-row picture.
        noise: largest standard deviation of the noise.
        occlusion: chance that something stands in front.
        passer: chance that another person is in the picture.
        camera: factor on the differences between cameras.
    """

    spread: float
    accessories: float
    prints: float
    infrared_prints: float
    view: float
    shift: float
    scale: float
    light: float
    blur: float
    noise: float
    occlusion: float
    passer: float
    camera: float


LEVELS: dict[Difficulty, Level] = {
    "easy": Level(
        spread=1.8,
        accessories=0.9,
        prints=0.9,
        infrared_prints=1.0,
        view=35,
        shift=0.02,
        scale=0.03,
        light=0.08,
        blur=0.6,
        noise=0.02,
        occlusion=0.0,
        passer=0.0,
        camera=0.5,
    ),
    "standard": Level(
        spread=1.5,
        accessories=0.8,
        prints=0.8,
        infrared_prints=0.9,
        view=90,
        shift=0.03,
        scale=0.04,
        light=0.12,
        blur=0.6,
        noise=0.025,
        occlusion=0.08,
        passer=0.05,
        camera=0.7,
    ),
    "hard": Level(
        spread=1.2,
        accessories=0.6,
        prints=0.6,
        infrared_prints=0.6,
        view=90,
        shift=0.08,
        scale=0.1,
        light=0.25,
        blur=1.6,
        noise=0.06,
        occlusion=0.25,
        passer=0.2,
        camera=1.2,
    ),
}


@dataclass(frozen=True)
class PeopleSettings:
    """What to draw. The same settings give the same bytes in every file.

    Attributes:
        seed: of everything; people of one seed look the same whatever the counts.
        train_identities: numbered from 1.
        validation_identities: numbered on from there; may be 0.
        test_identities: numbered on from there.
        images_per_camera: of every identity at every camera that saw it; None: 4, or the 10 of the layout `regdb`.
        height: pixels of a picture.
        width: pixels of a picture.
        difficulty: "easy", "standard" or "hard", the `LEVELS`.
        absent: share of the identities that the indoor visible cameras 1 and 2 never saw; the layout `regdb`, of one
            camera a modality, has none. In SYSU-MM01, 40 of the 96 test identities lack both.
        jpeg_quality: of the layout `sysu`, whose files are JPEG.

    Raises:
        InputError: one line that names the argument.
    """

    seed: Seed = 0
    train_identities: Annotated[int, Range(ge=1, le=_MOST)] = 300
    validation_identities: Annotated[int, Range(ge=0, le=_MOST)] = 20
    test_identities: Annotated[int, Range(ge=1, le=_MOST)] = 100
    images_per_camera: Annotated[int | None, Range(ge=1, le=_MOST)] = None
    height: _Side = 128
    width: _Side = 64
    difficulty: Difficulty = "standard"
    absent: Probability = 0.4
    jpeg_quality: Annotated[int, Range(ge=1, le=100)] = 95

    def __post_init__(self) -> None:
        check_settings(self)
        if self.identities > _MOST:
            raise InputError(f"the identities must be at most {_MOST} in all, not {self.identities}")

    @property
    def identities(self) -> int:
        """How many people there are in all."""
        return self.train_identities + self.validation_identities + self.test_identities

    @property
    def level(self) -> Level:
        """The strengths behind `difficulty`."""
        return LEVELS[self.difficulty]

    def images(self, layout: Layout) -> int:
        """Pictures of one identity at one camera of a layout."""
        return IMAGES_PER_CAMERA[layout] if self.images_per_camera is None else self.images_per_camera

    def splits(self) -> dict[str, range]:
        """The identities of `train`, `validation` and `test`."""
        first, second = 1 + self.train_identities, 1 + self.train_identities + self.validation_identities
        return {
            "train": range(1, first),
            "validation": range(first, second),
            "test": range(second, 1 + self.identities),
        }


def check_layout(layout: str) -> Layout:
    """The layout, if it is one.

    Raises:
        InputError: it is none.
    """
    check_value("layout", layout, Layout)
    return cast(Layout, layout)
