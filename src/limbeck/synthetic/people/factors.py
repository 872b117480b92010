"""What a picture is made of: every factor of the person, of the camera and of the single picture, as flat numbers.

Lengths are in metres, angles in degrees, colours, reflectances and heat in [0, 1]. An azimuth says where on a body a
thing is: 0 the front, 90 the left side, 180 the back. Who sees what:

* both cameras: shapes, cuts, hair, bags, prints' places (`Body`, `Gait`, `Hair`, `Upper`, `Lower`, `Bag`, `Shoes`);
* the visible one alone: `Colours`, `CameraVisible`, `Light.tint_*`;
* the infrared one alone: `Infrared`, `CameraInfrared`.
"""

from __future__ import annotations

from dataclasses import dataclass

UPPERS = ("t-shirt", "shirt", "jumper", "hoodie", "jacket", "coat")
LOWERS = ("trousers", "shorts", "skirt", "dress")
PRINTS = ("plain", "stripes", "checks", "logo", "patches", "block")
HAIRS = ("bald", "short", "bob", "long", "ponytail", "bun", "curls")
HATS = ("none", "cap", "beanie")
BAGS = ("none", "backpack", "shoulder", "hand")
OCCLUSIONS = ("none", "pole", "rail", "box", "passer")


@dataclass(frozen=True)
class Body:
    """Shape. Widths are half-widths seen from the front, depths half-depths seen from the side."""

    height: float
    leg_share: float
    shoulder: float
    chest_depth: float
    waist: float
    belly: float
    hip: float
    limb: float
    arm_length: float
    head: float
    neck: float


@dataclass(frozen=True)
class Gait:
    """How the person holds and moves the body: degrees, and metres for the stance."""

    lean: float
    head_forward: float
    stride: float
    arm_swing: float
    elbow: float
    arm_spread: float
    stance: float
    knee: float


@dataclass(frozen=True)
class Hair:
    """Hair: its kind, how far it falls below the head's centre, and its thickness."""

    kind: str
    length: float
    bulk: float
    fringe: float


@dataclass(frozen=True)
class Print:
    """A pattern in two materials.

    Attributes:
        kind: one of `PRINTS`.
        frequency: periods per metre of stripes, checks and patches.
        angle: of the stripes: 0 horizontal, 90 upright.
        duty: the second material's share of a period.
        place: azimuth of a logo's centre.
        level: where a logo's centre or a block's border is, as a share of the garment from its top.
        width: of a logo.
        tall: of a logo.
    """

    kind: str
    frequency: float
    angle: float
    duty: float
    place: float
    level: float
    width: float
    tall: float


@dataclass(frozen=True)
class Upper:
    """The upper garment. Sleeve: share of the arm; hem: metres below the hips; loose: metres beyond the body;
    opening: degrees to each side of the front that show what is worn under it."""

    kind: str
    sleeve: float
    sleeve_loose: float
    hem: float
    loose: float
    flare: float
    collar: float
    hood: float
    opening: float
    print: Print


@dataclass(frozen=True)
class Lower:
    """The lower garment. Length: share of the leg that it covers; a dress takes the upper garment's materials."""

    kind: str
    length: float
    loose: float
    flare: float
    print: Print


@dataclass(frozen=True)
class Bag:
    """A bag. Side: -1 the person's right, 1 the left; drop: metres from the shoulder to its top."""

    kind: str
    width: float
    tall: float
    depth: float
    drop: float
    side: int


@dataclass(frozen=True)
class Shoes:
    """Shoes: length beyond the ankle, the shaft's share of the shin, the height of a pale sole."""

    length: float
    shaft: float
    sole: float


@dataclass(frozen=True)
class Colour:
    """A colour, as the visible camera of unit gain would record it."""

    red: float
    green: float
    blue: float


@dataclass(frozen=True)
class Colours:
    """What only the visible camera sees. `*_second`: a print's other material; `inside`: what an open coat shows."""

    skin: Colour
    hair: Colour
    hat: Colour
    upper: Colour
    upper_second: Colour
    inside: Colour
    lower: Colour
    lower_second: Colour
    bag: Colour
    shoes: Colour
    sole: Colour


@dataclass(frozen=True)
class Infrared:
    """What only the infrared camera sees: the heat of the skin and the face, and the reflectance of the rest."""

    skin: float
    face: float
    hair: float
    hat: float
    upper: float
    upper_second: float
    inside: float
    lower: float
    lower_second: float
    bag: float
    shoes: float
    sole: float


@dataclass(frozen=True)
class Person:
    """All that belongs to the identity."""

    body: Body
    gait: Gait
    hair: Hair
    hat: str
    upper: Upper
    lower: Lower
    bag: Bag
    shoes: Shoes
    colours: Colours
    infrared: Infrared


@dataclass(frozen=True)
class Scene:
    """What stands behind people at one camera; lengths in picture heights, `x` runs on beyond the picture."""

    floor: float
    skirting: float
    tile: float
    panel: float
    window_period: float
    window_width: float
    window_top: float
    window_bottom: float
    clutter_x: float
    clutter_width: float
    clutter_top: float
    pillar_x: float
    pillar_width: float


@dataclass(frozen=True)
class CameraVisible:
    """A camera's visible side: gains of its channels and the colours behind people."""

    tint: Colour
    wall: Colour
    trim: Colour
    floor: Colour
    window: Colour
    clutter: Colour


@dataclass(frozen=True)
class CameraInfrared:
    """A camera's infrared side: gain, offset, how dark its corners and how bright its lamp's centre are, and the tones
    behind people."""

    gain: float
    offset: float
    vignette: float
    lamp: float
    wall: float
    trim: float
    floor: float
    window: float
    clutter: float


@dataclass(frozen=True)
class Camera:
    """All that belongs to a camera. Pitch: degrees that it looks down."""

    pitch: float
    scene: Scene
    visible: CameraVisible
    infrared: CameraInfrared


@dataclass(frozen=True)
class Pose:
    """View: azimuth of the body that faces the camera; phase: of the walk, in degrees; speed: of stride and swing."""

    view: float
    phase: float
    speed: float
    sway: float
    head_turn: float


@dataclass(frozen=True)
class Crop:
    """The bounding box: centre in shares of the picture, scale, aspect, and the scene's place behind the person."""

    x: float
    y: float
    scale: float
    aspect: float
    scene_x: float
    scene_y: float


@dataclass(frozen=True)
class Light:
    """Brightness, contrast, a gradient across the picture, and where the light comes from."""

    brightness: float
    contrast: float
    gradient: float
    gradient_angle: float
    side: float
    tint_red: float
    tint_blue: float


@dataclass(frozen=True)
class Sensor:
    """Blur in pixels of a 128-row picture, the noise's standard deviation, and the key of its draw."""

    blur: float
    noise: float
    noise_key: int


@dataclass(frozen=True)
class Occlusion:
    """What stands in front: one of `OCCLUSIONS`, its place and size in shares of the picture, its visible colour and
    its infrared tone. `passer_key` draws another person, who walks past at `place`, before or behind the first."""

    kind: str
    place: float
    size: float
    colour: Colour
    tone: float
    passer_key: int
    passer_view: float
    passer_phase: float
    passer_scale: float
    passer_behind: int


@dataclass(frozen=True)
class Picture:
    """All that belongs to one picture and to neither person nor camera."""

    pose: Pose
    crop: Crop
    light: Light
    sensor: Sensor
    occlusion: Occlusion
