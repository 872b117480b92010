"""Drawing people: who sees what, shapes, prints, and how little untrained baselines recognise."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from limbeck.synthetic.people import LEVELS, PeopleSettings, render, sheet
from limbeck.synthetic.people.draw import draw_camera, draw_person, draw_picture
from limbeck.synthetic.people.factors import (
    BAGS,
    HAIRS,
    HATS,
    LOWERS,
    OCCLUSIONS,
    PRINTS,
    UPPERS,
    Camera,
    Colour,
    Person,
    Picture,
    Print,
)
from limbeck.synthetic.people.figure import skeleton
from limbeck.synthetic.people.layouts import shots
from limbeck.synthetic.people.make import scenario
from limbeck.synthetic.people.paint import Grid, ellipse, limb, paint
from limbeck.synthetic.people.prints import printed
from limbeck.synthetic.records import field_types, flatten, unflatten

STANDARD = LEVELS["standard"]
SIZE = (64, 32)


def _scenes(count: int = 12) -> list[tuple[Person, Camera, Picture]]:
    return [
        (draw_person(5, k, STANDARD), draw_camera(5, k % 6, STANDARD), draw_picture(5, k, k % 6, 1, STANDARD))
        for k in range(1, count + 1)
    ]


def _other(record):
    """The same record with every number changed."""
    return unflatten(type(record), {name: round(0.9 - 0.7 * value, 4) for name, value in flatten(record).items()})


def test_colours_do_not_reach_the_infrared_camera_nor_heat_the_visible_one() -> None:
    for person, camera, picture in _scenes():
        tinted = replace(picture.light, tint_red=0.5, tint_blue=1.5)
        coloured = replace(picture, light=tinted, occlusion=replace(picture.occlusion, colour=Colour(0.1, 0.9, 0.3)))
        painted = (
            replace(person, colours=_other(person.colours)),
            replace(camera, visible=_other(camera.visible)),
            coloured,
        )
        before, after = (render(*shown, "infrared", *SIZE) for shown in ((person, camera, picture), painted))
        np.testing.assert_array_equal(before, after)
        assert (render(*painted, "visible", *SIZE) != render(person, camera, picture, "visible", *SIZE)).any()

        warmed = (
            replace(person, infrared=_other(person.infrared)),
            replace(camera, infrared=_other(camera.infrared)),
            replace(picture, occlusion=replace(picture.occlusion, tone=0.99)),
        )
        before, after = (render(*shown, "visible", *SIZE) for shown in ((person, camera, picture), warmed))
        np.testing.assert_array_equal(before, after)
        assert (render(*warmed, "infrared", *SIZE) != render(person, camera, picture, "infrared", *SIZE)).any()


@pytest.mark.parametrize("modality", ["visible", "infrared"])
def test_both_cameras_see_shapes(modality) -> None:
    person, camera, picture = _scenes(1)[0]
    plain = replace(picture, occlusion=replace(picture.occlusion, kind="none"))
    before = render(person, camera, plain, modality, *SIZE)
    for change in (
        {"body": replace(person.body, shoulder=person.body.shoulder + 0.06)},
        {"hair": replace(person.hair, kind="curls" if person.hair.kind != "curls" else "bald")},
        {"lower": replace(person.lower, kind="skirt" if person.lower.kind != "skirt" else "trousers")},
        {"bag": replace(person.bag, kind="hand" if person.bag.kind != "hand" else "none")},
        {"gait": replace(person.gait, lean=person.gait.lean + 10)},
    ):
        assert np.abs(render(replace(person, **change), camera, plain, modality, *SIZE).astype(int) - before).max() > 10


def test_colours_reflectances_and_pictures_are_drawn_independently() -> None:
    people = [draw_person(0, k, STANDARD) for k in range(400)]
    luminance = [p.colours.upper.red + p.colours.upper.green + p.colours.upper.blue for p in people]
    assert abs(np.corrcoef(luminance, [p.infrared.upper for p in people])[0, 1]) < 0.12
    assert abs(np.corrcoef(luminance, [p.body.height for p in people])[0, 1]) < 0.12
    views = [draw_picture(0, k, 1, 1, STANDARD).pose.view for k in range(400)]
    assert abs(np.corrcoef(views, luminance)[0, 1]) < 0.12
    assert np.histogram(views, 8, (0, 360))[0].min() > 25  # from every side


def test_everything_that_can_be_drawn_is_drawn() -> None:
    people = [draw_person(0, k, STANDARD) for k in range(300)]
    assert {p.upper.kind for p in people} == set(UPPERS)
    assert {p.lower.kind for p in people} == set(LOWERS)
    assert {p.upper.print.kind for p in people} == {p.lower.print.kind for p in people} == set(PRINTS)
    assert {p.hair.kind for p in people} == set(HAIRS)
    assert {p.hat for p in people} == set(HATS)
    assert {p.bag.kind for p in people} == set(BAGS)
    assert {draw_picture(0, 1, 1, k, STANDARD).occlusion.kind for k in range(300)} == set(OCCLUSIONS)
    for materials in (p.infrared for p in people):
        assert all(0 <= value <= 1 for value in flatten(materials).values())
    for materials in (p.colours for p in people):
        assert all(0 <= value <= 1 for value in flatten(materials).values())
    # A print may show in both modalities, in one, or in none.
    shown = {(p.colours.upper != p.colours.upper_second, p.infrared.upper != p.infrared.upper_second) for p in people}
    assert shown == {(True, True), (True, False), (False, True), (False, False)}


def test_records_survive_flattening() -> None:
    for record in _scenes(1)[0]:
        flat = flatten(record)
        assert list(flat) == list(field_types(type(record)))
        assert {name: type(value) for name, value in flat.items()} == field_types(type(record))
        assert unflatten(type(record), flat) == record


@pytest.mark.slow
def test_every_kind_and_view_can_be_drawn_at_any_size() -> None:
    person, camera, picture = _scenes(1)[0]
    for kind in (*UPPERS, *LOWERS, *HAIRS, *HATS, *BAGS, *PRINTS, *OCCLUSIONS):
        dressed = replace(
            person,
            upper=replace(
                person.upper,
                kind=kind if kind in UPPERS else "coat",
                print=replace(person.upper.print, kind=kind if kind in PRINTS else "checks"),
            ),
            lower=replace(person.lower, kind=kind if kind in LOWERS else "dress"),
            hair=replace(person.hair, kind=kind if kind in HAIRS else "bob"),
            hat=kind if kind in HATS else "cap",
            bag=replace(person.bag, kind=kind if kind in BAGS else "none"),
        )
        here = replace(picture, occlusion=replace(picture.occlusion, kind=kind if kind in OCCLUSIONS else "none"))
        for view in (0.0, 60.0, 90.0, 180.0, 300.0):
            seen = replace(here, pose=replace(here.pose, view=view))
            assert render(dressed, camera, seen, "visible", 40, 16).shape == (40, 16, 3)
    large, small = (render(person, camera, picture, "infrared", 64 * k, 32 * k).astype(float) for k in (4, 1))
    shrunk = large.reshape(64, 4, 32, 4, 3).mean((1, 3))
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.9


def test_a_view_from_the_side_is_narrower_and_shows_other_prints() -> None:
    person, camera, picture = _scenes(1)[0]
    # White on black: the picture of a silhouette.
    white = Colour(1.0, 1.0, 1.0)
    colours = replace(person.colours, **{field.name: white for field in fields(person.colours)})
    black = unflatten(type(camera.visible), dict.fromkeys(flatten(camera.visible), 0.0))
    dark = replace(camera, visible=replace(black, tint=white), pitch=0.0)
    still = replace(
        picture,
        occlusion=replace(picture.occlusion, kind="none"),
        light=replace(picture.light, brightness=1.0, contrast=1.0, gradient=0.0, side=0.0),
        sensor=replace(picture.sensor, noise=0.0, blur=0.3),
    )
    bare = replace(person, colours=colours, bag=replace(person.bag, kind="none"))

    def area(view: float) -> int:
        pose = replace(still.pose, view=view, speed=0.0, sway=0.0, head_turn=0.0)
        return int((render(bare, dark, replace(still, pose=pose), "visible", 128, 64)[..., 0] > 100).sum())

    assert area(90) < 0.8 * area(0)
    assert area(0) == pytest.approx(area(180), rel=0.1)

    logo = Print("logo", 6.0, 0.0, 0.5, 0.0, 0.4, 0.2, 0.2)
    inked = replace(colours, upper_second=Colour(0.0, 0.0, 0.0))
    marked = replace(bare, colours=inked, upper=replace(bare.upper, print=logo, opening=0.0))

    def ink(view: float) -> int:
        pose = replace(still.pose, view=view, speed=0.0, sway=0.0, head_turn=0.0)
        pictures = [render(who, dark, replace(still, pose=pose), "visible", 128, 64)[..., 0] for who in (bare, marked)]
        return int((pictures[0] > pictures[1].astype(int) + 60).sum())

    assert ink(0) > 60
    assert ink(180) == 0


def test_joints_keep_their_distances_and_stand_on_the_ground() -> None:
    for person, _, picture in _scenes():
        bones = skeleton(person, picture.pose)
        arm = person.body.arm_length * person.body.height
        for shoulder, elbow in zip(bones.shoulders, bones.elbows, strict=True):
            apart = math.dist((shoulder.x, shoulder.y, shoulder.z), (elbow.x, elbow.y, elbow.z))
            assert apart == pytest.approx(arm / 2, rel=0.05)
        assert min(ankle.y for ankle in bones.ankles) == pytest.approx(0.07)
        assert bones.head.y > bones.neck.y > bones.pelvis.y > max(knee.y for knee in bones.knees)


def test_painted_areas_are_those_of_the_shapes() -> None:
    pixel = 0.01
    grid = Grid((np.arange(100) + 0.5) * pixel, 1 - (np.arange(100) + 0.5) * pixel, pixel)
    white = {"white": np.array([1.0])}

    def area(strip) -> float:
        canvas = np.zeros((100, 100, 1))
        paint(canvas, grid, [strip], white, 0.0)
        # Undo the shading, which is 0.7 or more wherever there is paint.
        return float((canvas > 0.35).sum()) * pixel**2

    assert area(ellipse((0.5, 0.5), 0.2, 0.3, 0.0, "white")) == pytest.approx(math.pi * 0.06, rel=0.02)
    assert area(limb((0.3, 0.7), (0.7, 0.4), 0.1, 0.1, 0.0, "white")) == pytest.approx(
        0.5 * 0.2 + math.pi * 0.01, rel=0.03
    )
    assert area(limb((0.5, 0.5), (0.5, 0.5), 0.1, 0.1, 0.0, "white")) == pytest.approx(math.pi * 0.01, rel=0.05)
    assert area(ellipse((3.0, 0.5), 0.2, 0.3, 0.0, "white")) == 0


def test_near_strips_hide_far_ones() -> None:
    pixel = 0.05
    grid = Grid((np.arange(20) + 0.5) * pixel, 1 - (np.arange(20) + 0.5) * pixel, pixel)
    palette = {"dark": np.array([0.1]), "light": np.array([1.0])}
    for depth, expected in ((1.0, 0.1), (-1.0, 1.0)):
        canvas = np.zeros((20, 20, 1))
        paint(
            canvas,
            grid,
            [ellipse((0.5, 0.5), 0.2, 0.2, depth, "dark"), ellipse((0.5, 0.5), 0.3, 0.3, 0.0, "light")],
            palette,
            0.0,
        )
        assert canvas[10, 10, 0] == pytest.approx(expected, rel=0.05)


def test_stripes_cover_their_share_and_a_logo_its_place() -> None:
    along, azimuth = np.meshgrid(np.linspace(0, 1, 1201)[:-1], np.linspace(-180, 180, 721)[:-1], indexing="ij")
    stripes = Print("stripes", 5.0, 0.0, 0.3, 0.0, 0.5, 0.2, 0.1)
    for angle in (0.0, 90.0, 35.0):
        field = printed(replace(stripes, angle=angle), 0.2, 1.0)
        assert field is not None
        assert field(along, azimuth, 0.001).mean() == pytest.approx(0.3, abs=0.03)
    field = printed(replace(stripes, kind="logo"), 0.2, 1.0)
    assert field is not None
    cover = field(along, azimuth, 1e-4)
    assert cover.mean() == pytest.approx(0.1 * 0.2 / (2 * math.pi * 0.2), rel=0.05)
    assert cover[600, 360] == 1
    assert cover[600, 0] == 0
    assert printed(replace(stripes, kind="plain"), 0.2, 1.0) is None


def test_the_sheet_shows_what_the_set_holds() -> None:
    settings = PeopleSettings(height=32, width=16)
    page = sheet(settings, [1, 2], [(1, 1), (6, 3)])
    assert page.shape == (2 * 35 + 3, 2 * 19 + 3, 3)
    shown = scenario(settings, next(shot for shot in shots(settings, "sysu") if (shot.identity, shot.camera) == (2, 6)))
    third = draw_picture(0, 2, 6, 3, STANDARD)
    np.testing.assert_array_equal(page[38:70, 22:38], render(shown.person, shown.camera, third, "infrared", 32, 16))


@pytest.mark.slow
def test_untrained_baselines_are_near_chance_across_modalities() -> None:
    """Rank-1 against three visible pictures of each of 60 people: chance is 1/60."""
    people = range(1, 61)
    gallery = [_small(identity, camera, "visible") for identity in people for camera in (1, 2, 4)]
    infrared = [_small(identity, camera, "infrared") for identity in people for camera in (3, 6)]
    visible = [_small(identity, 5, "visible") for identity in people]

    def rank1(describe, probes: list[np.ndarray]) -> float:
        likeness = np.stack([describe(one) for one in probes]) @ np.stack([describe(one) for one in gallery]).T
        return float(np.mean(likeness.argmax(1) // 3 == np.arange(len(probes)) // (len(probes) // len(people))))

    chance = 1 / len(people)
    assert rank1(_histogram, infrared) < 3.5 * chance
    assert rank1(_pixels, infrared) < 5 * chance
    # The same histogram does recognise colours where both pictures have them.
    assert rank1(_histogram, visible) > 4 * chance


def _small(identity: int, camera: int, modality) -> np.ndarray:
    settings = PeopleSettings()
    return render(
        draw_person(settings.seed, identity, settings.level),
        draw_camera(settings.seed, camera, settings.level),
        draw_picture(settings.seed, identity, camera, 1, settings.level),
        modality,
        *SIZE,
    )


def _histogram(picture: np.ndarray) -> np.ndarray:
    bins = picture // 32
    rows = [
        np.bincount(part[..., channel].ravel(), minlength=8) for part in np.array_split(bins, 6) for channel in range(3)
    ]
    flat = np.sqrt(np.concatenate(rows))
    return flat / np.linalg.norm(flat)


def _pixels(picture: np.ndarray) -> np.ndarray:
    grey = picture.mean(2).ravel()
    grey = grey - grey.mean()
    return grey / np.linalg.norm(grey)
