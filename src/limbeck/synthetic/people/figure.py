"""A person in a pose, as strips to paint: a skeleton in metres, turned, looked at from above, and dressed.

Body coordinates: x to the person's left, y up, z to the front. A person at azimuth `view` is turned so that this
azimuth faces the camera.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from limbeck.synthetic.people import prints
from limbeck.synthetic.people.factors import Bag, Body, Hair, Person, Pose, Print
from limbeck.synthetic.people.paint import Array, Point, Strip, ellipse, limb

_SIDES = (-1, 1)
_NECK = 0.825  # the base of the neck, as a share of the height
_THIGH = 0.52  # of the leg
_UPPER_ARM = 0.5  # of the arm
_ANKLE = 0.07
_STRAP_RISE = 0.05  # a strap lies on top of the shoulder

# The order of painting, where it does not follow from the pose: depths, nearest last.
_LEGS, _SEAT, _SKIRT, _TRUNK, _NECKLINE = -0.2, 0.02, 0.06, 0.08, 0.085
_HEAD, _STRAPS, _BEFORE, _ARM, _CARRIED = 0.1, 0.12, 0.3, 0.4, 0.5


@dataclass(frozen=True)
class Spot:
    """A joint in body coordinates."""

    x: float
    y: float
    z: float

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Spot:
        return Spot(self.x + x, self.y + y, self.z + z)

    def towards(self, other: Spot, share: float) -> Spot:
        return Spot(
            self.x + share * (other.x - self.x),
            self.y + share * (other.y - self.y),
            self.z + share * (other.z - self.z),
        )


_FRONT = Spot(0, 0, 1)


@dataclass(frozen=True)
class Projection:
    """How the camera sees body coordinates: turned by `view`, from `pitch` above; both in degrees."""

    view: float
    pitch: float

    def point(self, spot: Spot) -> Point:
        cosine, sine = math.cos(math.radians(self.view)), math.sin(math.radians(self.view))
        tilt = math.radians(self.pitch)
        return spot.x * cosine - spot.z * sine, spot.y * math.cos(tilt) - self.depth(spot) * math.sin(tilt)

    def depth(self, spot: Spot) -> float:
        """How much nearer to the camera than the body's axis."""
        turn = math.radians(self.view)
        return spot.z * math.cos(turn) + spot.x * math.sin(turn)

    def width(self, half_width: Array | float, half_depth: Array | float) -> Array:
        """What an upright elliptic cylinder's half-width looks like."""
        turn = math.radians(self.view)
        return np.hypot(np.multiply(half_width, math.cos(turn)), np.multiply(half_depth, math.sin(turn)))


@dataclass(frozen=True)
class Skeleton:
    """The joints of a pose; pairs are right, left."""

    pelvis: Spot
    neck: Spot
    head: Spot
    hips: tuple[Spot, Spot]
    knees: tuple[Spot, Spot]
    ankles: tuple[Spot, Spot]
    shoulders: tuple[Spot, Spot]
    elbows: tuple[Spot, Spot]
    wrists: tuple[Spot, Spot]


def skeleton(person: Person, pose: Pose) -> Skeleton:
    """The joints of a person in a pose, the lower ankle just above the ground."""
    body, gait = person.body, person.gait
    legs = [_leg_joints(person, pose, side) for side in _SIDES]
    drop = _ANKLE - min(ankle.y for _, _, ankle in legs)
    hips, knees, ankles = ((right.moved(y=drop), left.moved(y=drop)) for right, left in zip(*legs, strict=True))

    trunk = body.height * (_NECK - body.leg_share)
    lean, sway = math.radians(gait.lean), math.radians(pose.sway)
    pelvis = Spot(0, body.height * body.leg_share + drop, 0)
    neck = pelvis.moved(trunk * math.sin(sway), trunk * math.cos(lean), trunk * math.sin(lean))
    head = neck.moved(z=gait.head_forward, y=body.neck + 0.065 * body.height * body.head)
    arms = [_arm_joints(person, pose, neck, side) for side in _SIDES]
    shoulders, elbows, wrists = zip(*arms, strict=True)
    return Skeleton(pelvis, neck, head, hips, knees, ankles, shoulders, elbows, wrists)


def _leg_joints(person: Person, pose: Pose, side: int) -> tuple[Spot, Spot, Spot]:
    """Hip, knee and ankle of one side, before the body sinks to the ground."""
    body, gait = person.body, person.gait
    leg, phase = body.height * body.leg_share, math.radians(pose.phase)
    swing = math.radians(gait.stride * pose.speed) * math.sin(phase) * side
    bend = math.radians(gait.knee * pose.speed) * max(0.0, math.cos(phase) * side)
    hip, foot = Spot(side * 0.52 * body.hip, leg, 0), side * gait.stance
    thigh, shin = _THIGH * leg, leg * (1 - _THIGH) - _ANKLE
    forward, back = swing + bend, swing - bend
    knee = Spot((hip.x + foot) / 2, hip.y - thigh * math.cos(forward), thigh * math.sin(forward))
    return hip, knee, Spot(foot, knee.y - shin * math.cos(back), knee.z + shin * math.sin(back))


def _arm_joints(person: Person, pose: Pose, neck: Spot, side: int) -> tuple[Spot, Spot, Spot]:
    """Shoulder, elbow and wrist of one side, which swing against the leg."""
    body, gait = person.body, person.gait
    swing = -math.radians(gait.arm_swing * pose.speed) * math.sin(math.radians(pose.phase)) * side
    spread, bent = math.radians(gait.arm_spread), swing + math.radians(gait.elbow)
    arm = body.arm_length * body.height
    upper, fore = _UPPER_ARM * arm, (1 - _UPPER_ARM) * arm
    shoulder = neck.moved(x=side * (body.shoulder - 0.055), y=-0.085)
    elbow = shoulder.moved(
        side * upper * math.sin(spread), -upper * math.cos(swing) * math.cos(spread), upper * math.sin(swing)
    )
    return shoulder, elbow, elbow.moved(side * 0.02, -fore * math.cos(bent), fore * math.sin(bent))


def figure(person: Person, pose: Pose, pitch: float) -> list[Strip]:
    """The strips of a dressed person, feet near y = 0, the body's axis at x = 0."""
    bones = skeleton(person, pose)
    camera = Projection(pose.view, pitch)
    return [
        *_legs(person, bones, camera),
        *_trunk(person, bones, camera),
        *_arms(person, bones, camera),
        *_head(person, pose, bones, camera),
        *_bag(person, bones, camera),
    ]


def _joined(camera: Projection, start: Spot, end: Spot, first: float, last: float, material: str) -> Strip:
    depth = (camera.depth(start) + camera.depth(end)) / 2
    return limb(camera.point(start), camera.point(end), first, last, depth, material)


def _dressed(strip: Strip, pattern: Print, second: str, radius: float, length: float, turn: float) -> Strip:
    """The strip with a print, whose `along` starts at the strip's `offset`."""
    return replace(strip, second=second, mix=prints.printed(pattern, radius, length), turn=turn)


def _covered(
    camera: Projection, path: tuple[Spot, Spot, Spot], share: float, widths: tuple[float, float, float], material: str
) -> Iterator[Strip]:
    """Cloth over the first `share` of a limb of two bones, with half-widths at its three joints."""
    start, middle, end = path
    upper = min(1.0, 2 * share)
    lower = max(0.0, 2 * share - 1)
    cut = widths[0] + upper * (widths[1] - widths[0])
    yield _joined(camera, start, start.towards(middle, upper), widths[0], cut, material)
    if lower > 0:
        cut = widths[1] + lower * (widths[2] - widths[1])
        yield _joined(camera, middle, middle.towards(end, lower), widths[1], cut, material)


def _legs(person: Person, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    trousers = person.lower.kind in ("trousers", "shorts")
    for side in range(2):
        # A leg lies as a whole before or behind the other one, and below what hangs over it.
        depth = _LEGS + 0.1 * math.tanh(camera.depth(bones.knees[side]) + camera.depth(bones.ankles[side]))
        for strip in _leg(person, bones, camera, side, trousers):
            yield replace(strip, depth=depth)
    body = person.body
    if trousers:
        waist, hips = camera.width(body.waist, body.belly), camera.width(body.hip, 0.8 * body.hip)
        top, bottom = bones.pelvis.moved(y=0.12), bones.pelvis.moved(y=-0.07)
        radii = np.array([0.95 * waist, hips, 0.97 * hips, 0.85 * hips])
        yield Strip(camera.point(top), camera.point(bottom), radii, _SEAT, "lower")
    else:
        yield _skirt(person, bones, camera)


def _leg(person: Person, bones: Skeleton, camera: Projection, side: int, trousers: bool) -> Iterator[Strip]:
    body, lower, shoes = person.body, person.lower, person.shoes
    hip, knee, ankle = bones.hips[side], bones.knees[side], bones.ankles[side]
    yield _joined(camera, hip, knee, 1.35 * body.limb, 0.95 * body.limb, "skin")
    yield _joined(camera, knee, ankle, 0.95 * body.limb, 0.6 * body.limb, "skin")
    if shoes.shaft:
        yield _joined(camera, ankle.towards(knee, shoes.shaft), ankle, 0.95 * body.limb, 0.85 * body.limb, "shoes")
    heel, toe = ankle.moved(y=-0.03, z=-0.04), ankle.moved(y=-0.035, z=shoes.length)
    if shoes.sole:
        yield _joined(camera, heel.moved(y=-shoes.sole), toe.moved(y=-shoes.sole), 0.045, 0.036, "sole")
    yield _joined(camera, heel, toe, 0.045, 0.036, "shoes")
    if not trousers:
        return
    loose = lower.loose + 0.006
    widths = (1.35 * body.limb + loose, 0.95 * body.limb + loose, 0.65 * body.limb + loose + lower.flare)
    leg = body.height * body.leg_share
    offset = 0.0
    for strip in _covered(camera, (hip, knee, ankle), lower.length, widths, "lower"):
        dressed = _dressed(strip, lower.print, "lower_second", 1.2 * body.limb, leg * lower.length, camera.view)
        yield replace(dressed, offset=offset)
        offset += _THIGH * leg


def _skirt(person: Person, bones: Skeleton, camera: Projection) -> Strip:
    """A skirt, or the lower part of a dress, wide enough for the stride."""
    body, lower = person.body, person.lower
    length = lower.length * (bones.pelvis.y - _ANKLE)
    apart = [abs(camera.point(knee)[0]) for knee in bones.knees]
    waist = float(camera.width(body.waist, body.belly))
    hips = float(camera.width(body.hip, 0.8 * body.hip)) + lower.loose
    hem = max(hips + lower.flare - 0.02, max(apart) + body.limb)
    waistline = bones.pelvis.moved(y=0.14)
    radii = np.interp(np.linspace(0, 1, 24), [0, 0.14 / (0.14 + length), 1], [waist, hips, hem])
    dress = lower.kind == "dress"
    first = "upper" if dress else "lower"
    strip = Strip(camera.point(waistline), camera.point(bones.pelvis.moved(y=-length)), radii, _SKIRT, first)
    pattern = person.upper.print if dress else lower.print
    offset = bones.neck.y - waistline.y if dress else 0.0
    return replace(_dressed(strip, pattern, f"{first}_second", body.hip, length + offset, camera.view), offset=offset)


def _trunk(person: Person, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    body, upper = person.body, person.upper
    wide = camera.width(
        np.array([0.055, 0.75 * body.shoulder, body.shoulder - 0.015, 0.93 * body.shoulder, body.waist, body.hip]),
        np.array([0.055, 0.08, 0.75 * body.chest_depth, body.chest_depth, body.belly, 0.8 * body.hip]),
    )
    places = [0, 0.05, 0.12, 0.35, 0.7, 1]
    trunk = bones.neck.y - bones.pelvis.y
    hem = upper.hem
    loose = np.interp(np.linspace(0, 1, 32), [0, 0.12, 0.5, 1], [0.0, 0.4, 1, 1]) * upper.loose
    radii = np.interp(np.linspace(0, 1, 32), places, wide) + loose
    whole = trunk + max(hem, 0)
    pieces = [Strip(camera.point(bones.neck), camera.point(bones.pelvis), radii, _TRUNK, "upper")]
    if hem > 0:
        flared = np.array([radii[-1], radii[-1] + upper.flare * hem / 0.3])
        # It begins a little higher, so that no seam shows.
        start, end = bones.pelvis.moved(y=0.02), bones.pelvis.moved(y=-hem)
        below = Strip(camera.point(start), camera.point(end), flared, _TRUNK, "upper", offset=trunk - 0.02)
        pieces.append(below)
    for piece in pieces:
        yield _dressed(piece, upper.print, "upper_second", body.shoulder, whole, camera.view)
        if upper.opening:
            yield replace(piece, material="inside", mask=prints.opened(upper.opening), turn=camera.view)
    yield replace(_joined(camera, bones.head, bones.neck.moved(y=-0.03), 0.052, 0.058, "skin"), depth=_NECKLINE)
    if upper.collar:
        collar = bones.neck.moved(y=upper.collar), bones.neck.moved(y=-0.02)
        yield replace(_joined(camera, *collar, 0.062, 0.085, "upper"), depth=_NECKLINE + 0.002)
    if upper.hood:
        back = bones.neck.moved(y=0.02, z=-0.09)
        tall = 0.075 * upper.hood
        wide_hood = float(camera.width(0.13 * upper.hood, 0.08 * upper.hood))
        depth = _NECKLINE - 0.001 if camera.depth(back) < 0 else _BEFORE - 0.01
        yield ellipse(camera.point(back), wide_hood, tall, depth, "upper")


def _arms(person: Person, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    body, upper = person.body, person.upper
    thick = 0.72 * body.limb
    arm = body.arm_length * body.height
    for shoulder, elbow, wrist in zip(bones.shoulders, bones.elbows, bones.wrists, strict=True):
        hand = wrist.towards(elbow, -0.28)
        # An arm beside the body belongs in front of it or behind it as a whole.
        depth = _ARM if camera.depth(shoulder) + camera.depth(wrist) > -0.06 else -_ARM
        skin = [
            _joined(camera, shoulder, elbow, thick, 0.85 * thick, "skin"),
            _joined(camera, elbow, wrist, 0.85 * thick, 0.6 * thick, "skin"),
            _joined(camera, wrist, hand, 0.6 * thick, 0.65 * thick, "skin"),
        ]
        loose = upper.sleeve_loose
        widths = (thick + 0.3 * loose + 0.004, 0.85 * thick + loose, 0.65 * thick + loose)
        cloth = _covered(camera, (shoulder, elbow, wrist), upper.sleeve, widths, "upper")
        for strip in skin:
            yield replace(strip, depth=depth)
        # A sleeve has the print of the trunk beside it, but no logo.
        pattern = replace(upper.print, kind="plain") if upper.print.kind == "logo" else upper.print
        offset = 0.06
        for strip in cloth:
            dressed = _dressed(strip, pattern, "upper_second", thick, bones.neck.y - bones.pelvis.y, camera.view)
            yield replace(dressed, depth=depth, offset=offset)
            offset += _UPPER_ARM * arm


def _head(person: Person, pose: Pose, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    body = person.body
    half = 0.065 * body.height * body.head
    turned = Projection(camera.view + pose.head_turn, camera.pitch)
    x, y = camera.point(bones.head)
    wide = float(turned.width(0.72 * half, 0.88 * half))
    skull = replace(ellipse((x, y), wide, half, _HEAD, "face"), turn=turned.view)
    yield replace(skull, second="hair", mix=prints.face_features(2 * half))
    yield from _hair(person.hair, bones.head, camera, skull, half)
    if person.hat != "none":
        top = ellipse((x, y + 0.12 * half), 1.14 * wide, 1.06 * half, _HEAD, "hat")
        yield replace(top, mask=prints.top_mask(0.3 if person.hat == "cap" else 0.36, 2 * half))
    if person.hat == "cap":
        root = bones.head.moved(y=0.5 * half, z=0.6 * half)
        brim = _joined(camera, root, root.moved(y=-0.12 * half, z=0.9 * half), 0.22 * half, 0.12 * half, "hat")
        yield replace(brim, depth=_HEAD if camera.depth(root) > 0 else _HEAD - 0.005)


def _hair(hair: Hair, head: Spot, camera: Projection, skull: Strip, half: float) -> Iterator[Strip]:
    """The hair on the head, and what hangs from it: before the trunk as seen from behind, else behind the head."""
    if hair.kind == "bald":
        return
    away = -camera.depth(_FRONT)
    hanging = _BEFORE if away > 0.2 else _HEAD - 0.001
    if hair.kind in ("bob", "long"):
        fall = 0.09 + 0.2 * hair.length if hair.kind == "bob" else 0.12 + hair.length
        root = head.moved(z=-0.45 * half)
        thick = float(camera.width(0.8 * half, 0.55 * half)) * hair.bulk
        tip = root.moved(y=-fall, z=-0.03)
        # Seen from the front, the trunk hides all that falls below the shoulders.
        depth = _TRUNK - 0.01 if away < -0.5 else hanging
        yield limb(camera.point(root), camera.point(tip), thick, 0.8 * thick, depth, "hair")
    elif hair.kind == "ponytail":
        root = head.moved(y=0.3 * half, z=-0.95 * half)
        tip = root.moved(y=-hair.length - 0.05, z=-0.07)
        depth = _BEFORE if away > -0.2 else _TRUNK - 0.02
        yield limb(camera.point(root), camera.point(tip), 0.04 * hair.bulk, 0.022, depth, "hair")
    elif hair.kind == "bun":
        size = 0.055 * hair.bulk
        depth = _BEFORE if away > 0 else _TRUNK - 0.02
        yield ellipse(camera.point(head.moved(y=0.75 * half, z=-0.8 * half)), size, size, depth, "hair")
    puff = {"curls": 1.35, "bob": 1.12, "long": 1.1}.get(hair.kind, 1.05) * (0.9 + 0.1 * hair.bulk)
    wide, tall = puff * float(skull.radii.max()), (0.3 + 0.7 * puff) * half
    cap = ellipse(camera.point(head), wide, tall, _HEAD, "hair")
    yield replace(cap, turn=skull.turn, mask=prints.hair_mask(hair.fringe, 2 * half))


def _bag(person: Person, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    bag, body = person.bag, person.body
    if bag.kind == "backpack":
        yield from _backpack(bag, body, bones, camera)
    elif bag.kind == "shoulder":
        yield from _shoulder_bag(bag, body, bones, camera)
    elif bag.kind == "hand":
        wrist = bones.wrists[0 if bag.side < 0 else 1]
        hand = wrist.moved(y=-0.12)
        depth = _CARRIED if camera.depth(hand) > -0.05 else -_CARRIED
        yield replace(_joined(camera, wrist.moved(y=-0.05), hand, 0.02, 0.02, "bag"), depth=depth)
        yield _box(camera, hand, 0.6 * bag.depth, bag.width, min(bag.tall, 0.33), depth)


def _shoulder_bag(bag: Bag, body: Body, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    """A bag at one hip, whose strap crosses chest and back from the other shoulder."""
    hang = bones.pelvis.moved(x=bag.side * (body.hip + bag.depth), y=0.45 - bag.drop)
    shoulder = bones.shoulders[0 if bag.side > 0 else 1]
    towards = camera.depth(_FRONT)
    for z, facing in ((body.chest_depth, towards), (-body.chest_depth, -towards)):
        if facing > 0.15:
            start, end = shoulder.moved(y=_STRAP_RISE, z=z), hang.moved(y=-0.05, z=0.3 * z)
            yield replace(_joined(camera, start, end, 0.022, 0.022, "bag"), depth=_STRAPS)
    depth = _CARRIED if camera.depth(hang) > -0.1 else -_CARRIED
    yield _box(camera, hang, bag.depth, bag.width, bag.tall, depth)


def _backpack(bag: Bag, body: Body, bones: Skeleton, camera: Projection) -> Iterator[Strip]:
    top = bones.neck.moved(y=-0.05 - bag.drop, z=-body.chest_depth - bag.depth)
    away = -camera.depth(_FRONT)
    yield _box(camera, top, bag.width, bag.depth, bag.tall, _CARRIED if away > -0.1 else -_CARRIED)
    if away < 0.3:
        for side in _SIDES:
            shoulder = bones.neck.moved(x=side * 0.62 * body.shoulder, y=-0.01, z=0.03)
            chest = shoulder.moved(y=-0.26, z=body.chest_depth - 0.03)
            yield replace(_joined(camera, shoulder, chest, 0.022, 0.02, "bag"), depth=_STRAPS)


def _box(camera: Projection, top: Spot, half_width: float, half_depth: float, tall: float, depth: float) -> Strip:
    """A bag with round upper corners that hangs from `top`."""
    wide = float(camera.width(half_width, half_depth))
    radii = wide * np.interp(np.linspace(0, 1, 20), [0, 0.12, 0.2, 0.9, 1], [0.65, 0.95, 1, 1.05, 0.95])
    return Strip(camera.point(top), camera.point(top.moved(y=-tall)), radii, depth, "bag")
