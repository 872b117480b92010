"""Drawing the factors. Each draw has a key of its own, so that nothing depends on how much else is drawn.

A person's key is (seed, identity), a camera's (seed, camera) and a picture's (seed, identity, camera, index). The
colours, and the infrared side, have keys of their own below that of the person or camera.
"""

from __future__ import annotations

import colorsys

import numpy as np

from limbeck.synthetic.dice import DIGITS, Dice
from limbeck.synthetic.people import factors as f
from limbeck.synthetic.people.settings import LEVELS, Level

_PERSON, _CAMERA, _PICTURE, _BUILDING, _PRESENCE, _COLOURS, _INFRARED = range(7)


def draw_person(seed: int, identity: int, level: Level) -> f.Person:
    """The person of an identity."""
    dice = Dice(seed, _PERSON, identity)
    spread = level.spread
    build = dice.normal(0, 1)  # heavy people are heavy throughout
    body = f.Body(
        height=dice.normal(1.72, 0.09 * spread),
        leg_share=dice.normal(0.475, 0.018 * spread),
        shoulder=dice.normal(0.215 + 0.014 * spread * build, 0.018 * spread, 0.15),
        chest_depth=dice.normal(0.125 + 0.012 * spread * build, 0.012 * spread, 0.085),
        waist=dice.normal(0.15 + 0.02 * spread * build, 0.012 * spread, 0.1),
        belly=dice.normal(0.115 + 0.03 * spread * build, 0.015 * spread, 0.075),
        hip=dice.normal(0.17 + 0.015 * spread * build, 0.015 * spread, 0.12),
        limb=dice.normal(0.062 + 0.008 * spread * build, 0.006 * spread, 0.042),
        arm_length=dice.normal(0.41, 0.018 * spread),
        head=dice.normal(1.0, 0.09 * spread),
        neck=dice.normal(0.06, 0.008 * spread, 0.04),
    )
    gait = f.Gait(
        lean=dice.normal(3, 4 * spread),
        head_forward=dice.normal(0.03, 0.02 * spread, -0.01),
        stride=dice.normal(24, 6 * spread, 8),
        arm_swing=dice.normal(22, 9 * spread, 3),
        elbow=dice.normal(22, 12 * spread, 2),
        arm_spread=dice.normal(9, 4 * spread, 2),
        stance=dice.normal(0.09, 0.02 * spread, 0.04),
        knee=dice.normal(28, 10 * spread, 5),
    )
    hair = f.Hair(
        kind=dice.one(f.HAIRS),
        length=dice.uniform(0.16, 0.42),
        bulk=dice.uniform(0.75, 1.3),
        fringe=dice.uniform(0.15, 0.7),
    )
    hat = dice.one(f.HATS[1:]) if dice.chance(level.accessories / 3) else "none"
    return f.Person(
        body=body,
        gait=gait,
        hair=hair,
        hat=hat,
        upper=_upper(dice, level),
        lower=_lower(dice, level),
        bag=_bag(dice, level),
        shoes=f.Shoes(
            length=dice.uniform(0.15, 0.2), shaft=dice.one((0.0, 0.0, 0.15, 0.5)), sole=dice.uniform(0.0, 0.04)
        ),
        colours=_colours(Dice(seed, _PERSON, identity, _COLOURS)),
        infrared=_infrared(Dice(seed, _PERSON, identity, _INFRARED), level),
    )


def _upper(dice: Dice, level: Level) -> f.Upper:
    kind = dice.one(f.UPPERS)
    heavy = kind in ("jacket", "coat", "hoodie")
    opening = dice.uniform(0, 42) if kind in ("jacket", "coat", "shirt") and dice.chance(0.5) else 0.0
    return f.Upper(
        kind=kind,
        sleeve=dice.uniform(0.15, 0.5) if kind == "t-shirt" else dice.uniform(0.75, 1.0),
        sleeve_loose=dice.uniform(0.015, 0.04) if heavy else dice.uniform(0.003, 0.025),
        hem=dice.uniform(0.22, 0.5) if kind == "coat" else dice.uniform(-0.02, 0.14),
        loose=dice.uniform(0.02, 0.06) if heavy else dice.uniform(0.0, 0.04),
        flare=dice.uniform(-0.015, 0.06),
        collar=dice.uniform(0.02, 0.05) if kind in ("shirt", "jacket", "coat") else 0.0,
        hood=dice.uniform(0.6, 1.2) if kind == "hoodie" or (kind == "coat" and dice.chance(0.3)) else 0.0,
        opening=opening,
        print=_print(dice, level.prints),
    )


def _lower(dice: Dice, level: Level) -> f.Lower:
    kind = f.LOWERS[0] if dice.chance(0.3) else dice.one(f.LOWERS)
    lengths = {"trousers": (0.88, 1.0), "shorts": (0.35, 0.6), "skirt": (0.3, 0.85), "dress": (0.35, 0.9)}
    return f.Lower(
        kind=kind,
        length=dice.uniform(*lengths[kind]),
        loose=dice.uniform(0.004, 0.035),
        flare=dice.uniform(0.0, 0.04) if kind in ("trousers", "shorts") else dice.uniform(0.0, 0.14),
        print=_print(dice, level.prints / 2),
    )


def _print(dice: Dice, chance: float) -> f.Print:
    return f.Print(
        kind=dice.one(f.PRINTS[1:]) if dice.chance(chance) else "plain",
        frequency=dice.uniform(4, 12),
        angle=dice.one((0.0, 0.0, 90.0, 35.0, -35.0)),
        duty=dice.uniform(0.25, 0.6),
        place=dice.one((0.0, 0.0, 180.0)),
        level=dice.uniform(0.2, 0.7),
        width=dice.uniform(0.1, 0.26),
        tall=dice.uniform(0.08, 0.26),
    )


def _bag(dice: Dice, level: Level) -> f.Bag:
    kind = dice.one(f.BAGS[1:]) if dice.chance(level.accessories) else "none"
    return f.Bag(
        kind=kind,
        width=dice.uniform(0.11, 0.19),
        tall=dice.uniform(0.22, 0.5) if kind == "backpack" else dice.uniform(0.16, 0.36),
        depth=dice.uniform(0.05, 0.12),
        drop=dice.uniform(-0.02, 0.1) if kind == "backpack" else dice.uniform(0.3, 0.55),
        side=dice.one((-1, 1)),
    )


def _colours(dice: Dice) -> f.Colours:
    tone = dice.uniform(0.3, 1.0)
    hair = dice.uniform(0.0, 1.0)
    upper, lower = _cloth(dice), _cloth(dice)
    return f.Colours(
        skin=_rounded(0.9 * tone + 0.05, 0.72 * tone, 0.6 * tone),
        hair=_rounded(0.08 + 0.6 * hair**3, 0.06 + 0.45 * hair**3, 0.05 + 0.25 * hair**3),
        hat=_cloth(dice),
        upper=upper,
        upper_second=upper if dice.chance(0.2) else _cloth(dice),
        inside=_cloth(dice),
        lower=lower,
        lower_second=lower if dice.chance(0.2) else _cloth(dice),
        bag=_cloth(dice),
        shoes=_cloth(dice),
        sole=_rounded(*(dice.uniform(0.3, 0.95),) * 3),
    )


def _cloth(dice: Dice) -> f.Colour:
    """A garment's colour: a third dark, a fifth pale, the rest of any hue."""
    hue, lot = dice.uniform(0, 1), dice.uniform(0, 1)
    if lot < 0.33:
        saturation, value = dice.uniform(0, 0.3), dice.uniform(0.07, 0.3)
    elif lot < 0.53:
        saturation, value = dice.uniform(0, 0.12), dice.uniform(0.55, 0.95)
    else:
        saturation, value = dice.uniform(0.35, 0.9), dice.uniform(0.25, 0.85)
    return _rounded(*colorsys.hsv_to_rgb(hue, saturation, value))


def _infrared(dice: Dice, level: Level) -> f.Infrared:
    skin = dice.uniform(0.55, 0.85)
    upper, lower = dice.uniform(0.15, 0.85), dice.uniform(0.15, 0.85)
    return f.Infrared(
        skin=skin,
        face=round(min(1.0, skin + dice.uniform(0.0, 0.15)), DIGITS),
        hair=dice.uniform(0.1, 0.55),
        hat=dice.uniform(0.15, 0.85),
        upper=upper,
        upper_second=_other_tone(dice, upper, level),
        inside=dice.uniform(0.15, 0.85),
        lower=lower,
        lower_second=_other_tone(dice, lower, level),
        bag=dice.uniform(0.1, 0.8),
        shoes=dice.uniform(0.1, 0.8),
        sole=dice.uniform(0.2, 0.9),
    )


def _other_tone(dice: Dice, tone: float, level: Level) -> float:
    """The second material's reflectance: often that of the first, because many dyes are clear in the infrared."""
    step = dice.uniform(0.2, 0.5)
    if not dice.chance(level.infrared_prints):
        return tone
    return round(tone + step if tone < 0.5 else tone - step, DIGITS)


def draw_camera(seed: int, camera: int, level: Level) -> f.Camera:
    """A camera, and what stands behind people there. All cameras share a building, whose trim and tiles recur."""
    building, dice, strength = Dice(seed, _BUILDING), Dice(seed, _CAMERA, camera), level.camera
    trim, tile, panel = building.uniform(0.2, 0.8), building.uniform(3, 7), building.uniform(0.5, 1.2)
    colours, tones = Dice(seed, _CAMERA, camera, _COLOURS), Dice(seed, _CAMERA, camera, _INFRARED)
    return f.Camera(
        pitch=dice.uniform(2, 6 + 8 * strength),
        scene=f.Scene(
            floor=dice.uniform(0.55, 0.85),
            skirting=dice.uniform(0.015, 0.05),
            tile=tile,
            panel=panel,
            window_period=dice.uniform(0.7, 1.6),
            window_width=dice.uniform(0.0, 0.5),
            window_top=dice.uniform(-0.1, 0.2),
            window_bottom=dice.uniform(0.25, 0.5),
            clutter_x=dice.uniform(0, 3),
            clutter_width=dice.uniform(0.15, 0.5),
            clutter_top=dice.uniform(0.45, 0.75),
            pillar_x=dice.uniform(0, 3),
            pillar_width=dice.uniform(0.08, 0.25),
        ),
        visible=f.CameraVisible(
            tint=_rounded(*(1 + 0.14 * strength * colours.uniform(-1, 1) for _ in range(3))),
            wall=_paint(colours),
            trim=_rounded(trim, trim * 0.95, trim * 0.85),
            floor=_paint(colours),
            window=_rounded(*(colours.uniform(0.5, 1.0),) * 3),
            clutter=_paint(colours),
        ),
        infrared=f.CameraInfrared(
            gain=round(1 + 0.2 * strength * tones.uniform(-1, 1), DIGITS),
            offset=round(0.06 * strength * tones.uniform(-1, 1), DIGITS),
            vignette=round(strength * tones.uniform(0.1, 0.4), DIGITS),
            lamp=round(strength * tones.uniform(0.0, 0.25), DIGITS),
            wall=tones.uniform(0.15, 0.7),
            trim=round(0.9 * trim, DIGITS),
            floor=tones.uniform(0.1, 0.6),
            window=tones.uniform(0.02, 0.3),
            clutter=tones.uniform(0.1, 0.8),
        ),
    )


def _paint(dice: Dice) -> f.Colour:
    """The colour of walls, floors and furniture: mostly grey."""
    red, green, blue = colorsys.hsv_to_rgb(dice.uniform(0, 1), dice.uniform(0, 0.35), dice.uniform(0.25, 0.85))
    return _rounded(red, green, blue)


def draw_picture(seed: int, identity: int, camera: int, index: int, level: Level) -> f.Picture:
    """What belongs to one picture alone; it says nothing of the person."""
    dice = Dice(seed, _PICTURE, identity, camera, index)
    towards = dice.one((0.0, 180.0))
    return f.Picture(
        pose=f.Pose(
            view=round((towards + dice.uniform(-level.view, level.view)) % 360, DIGITS),
            phase=dice.uniform(0, 360),
            speed=dice.uniform(0.1, 1.15),
            sway=dice.normal(0, 2.5),
            head_turn=dice.normal(0, 20),
        ),
        crop=f.Crop(
            x=dice.uniform(-level.shift, level.shift),
            y=dice.uniform(-level.shift, level.shift),
            scale=round(float(np.exp(dice.normal(0, level.scale))), DIGITS),
            aspect=round(float(np.exp(dice.normal(0, level.scale / 2))), DIGITS),
            scene_x=dice.uniform(0, 3),
            scene_y=dice.uniform(-level.shift, level.shift),
        ),
        light=f.Light(
            brightness=round(float(np.exp(dice.normal(0, level.light))), DIGITS),
            contrast=round(float(np.exp(dice.normal(0, level.light))), DIGITS),
            gradient=dice.uniform(0, 1.5 * level.light),
            gradient_angle=dice.uniform(0, 360),
            side=dice.uniform(-1, 1),
            tint_red=dice.normal(1, level.light / 4),
            tint_blue=dice.normal(1, level.light / 4),
        ),
        sensor=f.Sensor(
            blur=dice.uniform(0.3, 0.3 + level.blur), noise=dice.uniform(0.005, level.noise), noise_key=dice.key()
        ),
        occlusion=_occlusion(dice, level),
    )


def _occlusion(dice: Dice, level: Level) -> f.Occlusion:
    kind = dice.one(f.OCCLUSIONS[1:4]) if dice.chance(level.occlusion) else "none"
    if dice.chance(level.passer):
        kind = "passer"
    return f.Occlusion(
        kind=kind,
        place=dice.uniform(-1, 1),
        size=dice.uniform(0.5, 1),
        colour=_paint(dice),
        tone=dice.uniform(0.1, 0.8),
        passer_key=dice.key(),
        passer_view=dice.uniform(0, 360),
        passer_phase=dice.uniform(0, 360),
        passer_scale=dice.uniform(0.8, 1.1),
        passer_behind=dice.one((0, 1, 1)),
    )


def draw_passer(key: int) -> f.Person:
    """The other person in a picture. Their factors follow from the key alone, of the standard level."""
    return draw_person(key, 0, LEVELS["standard"])


def drawn_absent(seed: int, identity: int, share: float) -> bool:
    """Whether the indoor visible cameras never saw this identity."""
    return Dice(seed, _PRESENCE, identity).chance(share)


def _rounded(red: float, green: float, blue: float) -> f.Colour:
    return f.Colour(round(red, DIGITS), round(green, DIGITS), round(blue, DIGITS))
