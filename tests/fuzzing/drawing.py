"""Cases: a command that ends well, and what is changed in its inputs, its flags and its surroundings."""

from __future__ import annotations

import argparse
import base64
import json
import re
import zipfile
from collections.abc import Generator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
from tests.fuzzing import changes
from tests.fuzzing.changes import VALUES, Change
from tests.fuzzing.inputs import Command, commands

KINDS = ("arrays", "trees", "flags")  # of changes, of which each can be tried by itself


@dataclass(frozen=True)
class Case:
    """One call of the command.

    Attributes:
        verb: whose row of the table it counts in.
        words: behind `limbeck`.
        inputs: which it has beside itself.
        changes: what is done to them, in this order.
        surroundings: environment, streams and folder: see `tests.fuzzing.running`.
        continued: a folder among the inputs that it may write to.
    """

    verb: str
    words: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    surroundings: dict[str, Any] = field(default_factory=dict)
    continued: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, held: dict[str, Any]) -> Case:
        sequences = {name: tuple(held[name]) for name in ("words", "inputs", "changes")}
        return cls(**(held | sequences))


class Draw:
    """What a case is drawn from: numbers that its seed and number decide."""

    def __init__(self, seed: int, number: int) -> None:
        self.generator = np.random.default_rng([seed, number])

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def below(self, count: int) -> int:
        return int(self.generator.integers(max(count, 1)))

    def one(self, values: Any) -> Any:
        return values[self.below(len(values))]


def draw(folder: Path, seed: int, number: int, verbs: tuple[str, ...] = ()) -> Case:
    """The case of that number.

    Args:
        folder: of the inputs.
        seed: of the run.
        number: of the case.
        verbs: their names; (): all.
    """
    given = Draw(seed, number)
    chosen = [one for one in commands() if not verbs or one.name in verbs]
    weights = np.array([one.weight for one in chosen])
    command = chosen[int(given.generator.choice(len(chosen), p=weights / weights.sum()))]
    case = Case(command.name, tuple(command.words.split()), command.inputs, continued=command.continued)
    kind = given.generator.random()
    if command.inputs and kind < 0.75:
        count = 1 + (given.below(3) if given.chance(0.2) else 0)
        case = replace(case, changes=tuple(_change(given, folder, command) for _ in range(count)))
    if not command.inputs or kind > 0.65:
        for _ in range(1 + (given.below(3) if given.chance(0.3) else 0)):
            case = replace(case, words=_flag(given, case.words, command))
    if given.chance(0.08):
        case = replace(case, surroundings=_surroundings(given))
    return case


def every(folder: Path, verbs: tuple[str, ...] = (), kinds: tuple[str, ...] = KINDS) -> list[Case]:
    """A case for every change of some kinds to everything that a command reads, each by itself.

    Args:
        folder: of the inputs.
        verbs: their names; (): all.
        kinds: "arrays": shape, kind and numbers of every array; "trees": every value of JSON and YAML; "flags": every
            flag's every value, of one command a verb and kind of input.
    """
    found: list[Case] = []
    tried: set[tuple[str, str]] = set()
    for one in commands():
        if verbs and one.name not in verbs:
            continue
        case = Case(one.name, tuple(one.words.split()), one.inputs, continued=one.continued)
        files = files_of(folder, one.inputs)[0]
        if "arrays" in kinds and not one.continued:
            arrays = [name for name in one.inputs if Path(name).suffix in (".npz", ".npy", ".mat", ".pt")]
            found += [replace(case, changes=(change,)) for name in arrays for change in _every_array(folder, name)]
        if "trees" in kinds:
            trees = [name for name in files if Path(name).suffix in (".json", ".yaml")]
            found += [replace(case, changes=(change,)) for name in trees for change in _every_node(folder, name)]
        of = (one.name, Path(one.inputs[0]).suffix if one.inputs else "")
        if "flags" in kinds and of not in tried:
            tried.add(of)
            found += [
                replace(case, words=_with_flag(case.words, flag.name, value))
                for flag in flags(one.name)
                for value in dict.fromkeys((*flag.values, *_USUAL))
            ]
    return found


# What is put in the place of every value of a tree, and behind every flag beside its own values.
_OTHERS: tuple[Any, ...] = (None, True, -1, 2**64, 0.5, "x", [], [1, 2, 3], {"a": 1})
_USUAL = ("", ".", "x", "-1", "nan", "1e400", "[]", "[1]", "{}", "null", "a\nb", "/dev/null")


@cache
def _every_node(folder: Path, name: str) -> tuple[Change, ...]:
    path = folder / name
    held = read_tree(path)
    # Items of a list are alike: its first two.
    places = [
        list(place) for place in changes.nodes(held) if not any(isinstance(key, int) and key > 1 for key in place)
    ]
    found: list[Change] = [
        {"file": name, "do": "tree", "at": at, "how": "other", "value": value} for at in places for value in _OTHERS
    ]
    return (*found, *({"file": name, "do": "tree", "at": at, "how": "less", "value": None} for at in places))


@cache
def _every_array(folder: Path, name: str) -> tuple[Change, ...]:
    found: list[Change] = []
    for member, value in changes.read_arrays(folder / name).items():
        of = {"file": name, "member": member}
        held = np.asarray(value)
        found += [of | {"do": "shape", "how": how} for how in changes.SHAPES]
        found += [of | {"do": "dtype", "to": to} for to in changes.TYPES]
        found.append(of | {"do": "member_name", "to": None})
        if held.dtype.kind in "US":
            found += [
                of | {"do": "word", "at": held.size // 2, "value": word} for word in ("", "x", "0", "nan", "a\nb")
            ]
        else:
            found += [
                of | {"do": "number", "at": at, "value": number, "count": count}
                for number in changes.NUMBERS
                for at, count in ((held.size // 2, 1), (0, held.size))
            ]
    return tuple(found)


# -- inputs -----------------------------------------------------------------------------------------------------------


@cache
def files_of(folder: Path, inputs: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every file of the inputs, and every folder, relative to where they lie."""
    files, folders = [], []
    for name in inputs:
        top = folder / name
        for path in (top, *sorted(top.rglob("*"))) if top.is_dir() else (top,):
            (folders if path.is_dir() else files).append(str(path.relative_to(folder)))
    return tuple(files), tuple(folders)


def _change(given: Draw, folder: Path, command: Command) -> Change:
    files, folders = files_of(folder, command.inputs)
    # A folder of pictures counts as a few files beside the other inputs, and files that say what the others are count
    # for more.
    tops: dict[str, list[str]] = {}
    for name in files:
        tops.setdefault(name.split("/")[0], []).append(name)
    within = tops[given.one(sorted(tops))]
    if folders and given.chance(0.06):
        return _of_folder(given, given.one(folders))
    described = [name for name in within if Path(name).suffix not in (".jpg", ".png", ".bmp", ".bin", ".label")]
    name = given.one(described if described and given.chance(0.7) else within)
    if given.chance(0.12):
        return {"file": name} | _of_file(given, folder, name)
    if given.chance(0.3):
        return {"file": name} | _of_bytes(given, (folder / name).read_bytes())
    drawn = {
        ".npz": _of_arrays,
        ".npy": _of_arrays,
        ".mat": _of_arrays,
        ".pt": _of_arrays,
        ".csv": _of_table,
        ".tsv": _of_table,
        ".txt": _of_table,
        ".yaml": _of_tree,
        ".json": _of_tree,
        ".jsonl": _of_table,
        ".safetensors": _of_tensors,
        ".jpg": _of_picture,
        ".png": _of_picture,
        ".bmp": _of_picture,
    }.get(Path(name).suffix)
    if drawn is None:
        return {"file": name} | _of_bytes(given, (folder / name).read_bytes())
    return {"file": name} | drawn(given, folder / name)


def _text(given: Draw) -> str:
    value = given.one(VALUES)
    return value if isinstance(value, str) else json.dumps(value)


_BYTES = (
    b"",
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b'"',
    b"'",
    b",",
    b"\x80" * 9,
    b"\xff" * 8,
    b"\0" * 64,
    b"\xef\xbb\xbf",
    b"9" * 30,
    b"{[(",
)


def _of_bytes(given: Draw, held: bytes) -> Change:  # noqa: PLR0911
    size = len(held)
    # Where formats say what follows: their beginnings and ends.
    at = given.one((given.below(min(size, 200)), given.below(size), max(0, size - 1 - given.below(100))))
    kind = given.below(7)
    if kind == 0:
        flipped = bytes([held[at] ^ (1 << given.below(8))]) if held else b"x"
        return _put(at, flipped, 1)
    if kind == 1:
        return _put(at, b"", size)
    if kind == 2:
        return _put(at, given.one(_BYTES), given.one((0, 1, 2, 4, 8)))
    if kind == 3:
        stop = min(size, at + 1 + given.below(400))
        return {"do": "repeat", "start": at, "stop": stop, "times": given.one((1, 1, 2, 100))}
    if kind == 4:
        number = given.one((0, 1, 0x7F, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1))
        width = given.one((1, 2, 4, 8))
        return _put(at, (number % 256**width).to_bytes(width, given.one(("little", "big"))), width)
    if kind == 5:
        return _put(at, bytes(given.generator.integers(0, 256, 1 + given.below(16), dtype=np.uint8)), given.below(16))
    return _put(0, b"", size) if given.chance(0.2) else _put(at, b"", 1 + given.below(64))


def _put(at: int, new: bytes, instead: int) -> Change:
    return {"do": "put", "at": at, "bytes": base64.b64encode(new).decode(), "instead": instead}


def _of_file(given: Draw, folder: Path, name: str) -> Change:
    kind = given.one(("remove", "remove", "folder", "link", "pipe", "locked", "other", "other", "rename"))
    if kind == "link":
        to = given.one(
            (Path(name).name, "no/such", "/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/", "/dev/tty")
        )
        return {"do": "link", "to": to}
    if kind == "other":
        everything = sorted(one.name for one in folder.iterdir() if one.is_file() and not one.name.startswith("."))
        alike = [one for one in everything if Path(one).suffix == Path(name).suffix]
        return {"do": "other", "name": given.one(alike if alike and given.chance(0.5) else everything)}
    if kind == "rename":
        return {
            "do": "rename",
            "to": given.one((f"a\nb{Path(name).suffix}", "=1+1.csv", f"\x1b[31m{Path(name).suffix}", "é")),
        }
    return {"do": kind}


def _of_folder(given: Draw, name: str) -> Change:
    kind = given.below(4)
    if kind == 0:
        return {"file": name, "do": "remove"}
    if kind == 1:
        return {"file": name, "do": "write", "content": changes.packed(b"a file")}
    if kind == 2:
        return {"file": name, "do": "link", "to": given.one((".", "..", "no/such", "/proc/self/fd"))}
    extra = given.one(
        ("x.jpg", "x.csv", "9999", "a\nb.png", "\x1b[31m.jpg", "=1.jpg", "é.bin", "model.safetensors", "²")
    )
    return {"file": name, "do": "extra", "name": extra, "content": changes.packed(given.one(_BYTES))}


def _of_arrays(given: Draw, path: Path) -> Change:  # noqa: PLR0911
    arrays = {name: value for name, value in changes.read_arrays(path).items() if name}
    member = given.one(sorted(arrays)) if arrays else ""
    kind = given.below(7)
    if kind == 0:
        return {"do": "shape", "member": member, "how": given.one(tuple(changes.SHAPES))}
    if kind == 1:
        return {"do": "dtype", "member": member, "to": given.one(changes.TYPES)}
    if kind in (2, 3):
        held = np.asarray(arrays.get(member, np.zeros(100)))
        if held.dtype.kind in "US":
            return {"do": "word", "member": member, "at": given.below(held.size), "value": _text(given)}
        at = given.below(held.size)
        count = given.one((1, 1, held.size))
        return {
            "do": "number",
            "member": member,
            "at": at * (count == 1),
            "value": given.one(changes.NUMBERS),
            "count": count,
        }
    if kind == 4 and arrays:
        to = (
            None
            if given.chance(0.4)
            else given.one(("", "y", "labels", "view_9", "a\nb", "z_7", "../x", *sorted(arrays)))
        )
        return {"do": "member_name", "member": member, "to": to}
    if path.suffix == ".npz" and given.chance(0.05):
        return {"do": "bomb", "member": given.one(("unused", "y", "view_9")), "rows": 40_000}
    if path.suffix in (".npz", ".npy"):
        with zipfile.ZipFile(path) if path.suffix == ".npz" else path.open("rb") as source:  # type: ignore[union-attr]
            held_bytes = source.read(f"{member}.npy") if path.suffix == ".npz" else source.read()  # type: ignore[attr-defined]
        size = int.from_bytes(held_bytes[8:10], "little")
        header = held_bytes[10 : 10 + size].decode("latin-1").strip()
        start = given.below(len(header))
        old = header[start : start + 1 + given.below(6)]
        if given.chance(0.5):  # its sizes and kinds, and not any letters
            old = given.one(("'<f4'", "'<f8'", "'<i8'", "False", "'shape'", "(", ")", ",", "}"))
        new = given.one(
            (
                "",
                "'|O'",
                "99999999999",
                "-1",
                "True",
                "(",
                "'<f4,<f4'",
                "'<U99999999'",
                "None",
                "1e9",
                "[" * 300,
                "\\",
                "é",
            )
        )
        return {"do": "npy_header", "member": member, "old": old, "new": new}
    return {"do": "dtype", "member": member, "to": given.one(changes.TYPES)}


def _of_table(given: Draw, path: Path) -> Change:
    kind = given.below(8)
    row = given.one((0, 1, given.below(30)))
    if kind < 3:
        return {"do": "cell", "row": row, "column": given.below(8), "value": _text(given)}
    if kind == 3:
        return {"do": "column", "at": given.below(8), "how": given.one(("less", "twice", "empty"))}
    if kind == 4:
        return {"do": "encoding", "to": given.one(("utf-16", "utf-8-sig", "utf-32", "utf-7", "cp037"))}
    if kind == 5:
        return {
            "do": "line",
            "at": row,
            "how": "other",
            "value": given.one(('"', '"a,b', ",,,,", "\r", " ", "#", "1 2", "a" * 5_000_000)),
        }
    return {"do": "line", "at": row, "how": given.one(("less", "twice", "other", "more")), "value": _text(given)}


def _of_tree(given: Draw, path: Path) -> Change:
    if given.chance(0.2):
        lines = (
            "a: &a [*a]",
            "- 1",
            "a: b: c",
            "\t",
            "!!python/object:os.system x",
            "%YAML 9",
            "&x {*x : 1}",
            "? [a]\n: 1",
            "9" * 5000,
            "<<: [1]",
            "2001-01-01",
            "0o8: 1_0",
            "~: ~",
            "[" * 5000,
            '"\\uD800"',
            "1e999",
        )
        return {"do": "line", "at": given.below(30), "how": given.one(("other", "more")), "value": given.one(lines)}
    return {"do": "tree"} | _node(given, read_tree(path))


def read_tree(path: Path) -> Any:
    """What a YAML or JSON file holds."""
    import yaml

    return yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())


def _node(given: Draw, held: Any, *, deep: bool = True) -> Change:
    place = list(given.one(list(changes.nodes(held)) or [()]))
    kinds = ("other",) * 6 + ("less", "renamed") + (("deep",) if deep else ())
    return {"at": place, "how": given.one(kinds), "value": given.one(VALUES)}


def _of_tensors(given: Draw, path: Path) -> Change:
    from limbeck.tensorfiles import read_description

    if given.chance(0.25):
        held = path.read_bytes()
        header = json.loads(held[8 : 8 + int.from_bytes(held[:8], "little")])
        return {"do": "safetensors_header"} | _node(given, header)
    if given.chance(0.35):
        held = path.read_bytes()
        names = sorted(json.loads(held[8 : 8 + int.from_bytes(held[:8], "little")]).keys() - {"__metadata__"})
        return {"do": "tensor", "name": given.one(names), "how": given.one(changes.TENSOR_WAYS)}
    content = read_description(path)
    del content["format"], content["sha256"]
    return {"do": "description"} | _node(given, content, deep=False)


def _of_picture(given: Draw, path: Path) -> Change:
    if given.chance(0.4):
        return _of_bytes(given, path.read_bytes())
    return {"do": "picture", "how": given.one(changes.PICTURES)}


# -- flags ------------------------------------------------------------------------------------------------------------

# What a larger number of makes longer or larger, as asked for.
WORK = re.compile(
    r"azimuths|batch|beams|cameras|classes|counts|critic|crop|embedding|encoder|epochs|features|first|"
    r"folds|frames|height|hidden|identities|images|iterations|jobs|k1|k2|keep|most|permutations|pictures|"
    r"points|rank|repeats|representation|resamples|resize|samples|scenes|seeds|side|size|steps|top|topics|"
    r"trials|views|width|widths|words|workers"
)
HUGE = ("9223372036854775808", "-9223372036854775809", "99999999999999999999999", "1e400")
NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "3",
    "0.5",
    "-0.5",
    "nan",
    "inf",
    "-inf",
    "1e-300",
    "true",
    "null",
    "0x10",
    "1_0",
    "1e3",
    "007",
    "²",
    "٣",
)
TEXTS = (
    *(
        "",
        " ",
        "x",
        "no/such",
        "/",
        ".",
        "..",
        "/dev/null",
        "/dev/full",
        "/proc/self/x",
        "a\nb",
        "\x1b[31mred",
        "$\\frac{$",
    ),
    *("é", "\udcff", "-", "--", "=", "[", "[]", "{}", "{a: 1}", "&a [*a]", "null", "x" * 300, "x" * 5000),
    *("features.npz", "views.npz", "people", "reid-run", "os:system", "json:loads", "tests.small:recipe", "timm:none"),
    *("cuda", "cuda:9", "meta", "mps", "cpu:1"),
)
LISTS = (
    "[]",
    "[1]",
    "[1, 2]",
    "[a]",
    "[1",
    "1,2",
    "[null]",
    "[-1]",
    "[0]",
    "[[1]]",
    "[1e400]",
    "[nan]",
    "[9223372036854775808]",
    "{a: 1}",
    "",
    "[x, x]",
)


@dataclass(frozen=True)
class Flag:
    """A flag of a verb: its name, and values that fit it."""

    name: str
    values: tuple[str, ...]


@cache
def flags(name: str) -> tuple[Flag, ...]:
    """Every flag of a verb, for whatever input."""
    from limbeck.cli.jobs import parsers
    from limbeck.cli.verbs import known

    found: dict[str, Flag] = {}
    for parser in parsers(known()[name]):
        for action in parser.public_actions:
            for option in action.option_strings:
                if option.startswith("--") and "print_config" not in option:
                    found[option] = Flag(option, _values(option, action))
    return tuple(found.values())


def _values(option: str, action: argparse.Action) -> tuple[str, ...]:
    hint = getattr(action, "_typehint", None) or action.type
    words: list[str] = []

    def add(kind: Any) -> None:
        if get_origin(kind) is not None and str(get_origin(kind)).endswith("Literal"):
            words.extend(map(str, get_args(kind)))
        elif get_origin(kind) is tuple:
            words.extend(LISTS)
        elif kind in (int, float):
            words.extend(NUMBERS)
            words.extend(HUGE if not WORK.search(option) else HUGE[:3])
        elif kind is bool:
            words.extend(("true", "false"))
        elif kind is str:
            words.extend(TEXTS)
        else:
            for inner in get_args(kind):
                add(inner)

    add(hint)
    return tuple(words or TEXTS)


def _flag(given: Draw, words: tuple[str, ...], command: Command) -> tuple[str, ...]:  # noqa: PLR0911
    known = flags(command.name)
    kind = given.below(12)
    behind = len(command.name.split())
    if kind == 0 and len(words) > behind:  # a word less, or another
        at = behind + given.below(len(words) - behind)
        return (*words[:at], *((given.one(TEXTS),) if given.chance(0.5) else ()), *words[at + 1 :])
    if kind == 1 and len(words) > behind:
        at = behind + given.below(len(words) - behind)
        return (*words[:at], words[at], *words[at:])
    if kind == 2:
        return (
            *words,
            given.one(
                (*TEXTS, "--flag", "--help", "-h", "--version", "--config", "--print_config", "--a.b.c", "--no-out")
            ),
        )
    if not known:
        return (*words, given.one(TEXTS))
    flag = given.one(known)
    value = given.one(flag.values) if given.chance(0.75) else given.one((*TEXTS, *NUMBERS, *LISTS))
    form = given.below(6)
    if form == 0:
        return (*words, f"{flag.name}={value}")
    if form == 1:
        return (*words, flag.name)
    if form == 2:
        return (*words, flag.name, value, flag.name, given.one(flag.values))
    return _with_flag(words, flag.name, value)


def _with_flag(words: tuple[str, ...], flag: str, value: str) -> tuple[str, ...]:
    if flag in words[:-1]:
        at = words.index(flag) + 1
        return (*words[:at], value, *words[at + 1 :])
    return (*words, flag, value)


# -- surroundings -----------------------------------------------------------------------------------------------------

SURROUNDINGS: tuple[dict[str, Any], ...] = (
    *({"environment": {name: value}} for name, value in (
        *(("COLUMNS", value) for value in ("1", "0", "-5", "abc", "100000")),
        *(("LINES", "0"), ("TERM", "dumb"), ("NO_COLOR", "1"), ("FORCE_COLOR", "1"), ("TTY_COMPATIBLE", "1")),
        *(("HOME", value) for value in (None, "/no/such", "/dev/null", "")),
        *(("TMPDIR", value) for value in (None, "/no/such", "/proc", "")),
        *(("XDG_CACHE_HOME", "/dev/null"), ("MPLCONFIGDIR", "/dev/null"), ("MPLBACKEND", "nonsense")),
        *(("OMP_NUM_THREADS", value) for value in ("0", "abc", "-1", "1,2", "99999999999999")),
        *(("WORLD_SIZE", value) for value in ("2", "0", "abc", "")),
        *(("RANK", value) for value in ("1", "abc")),
        *(("LIMBECK_CACHE", "/dev/null"), ("SOURCE_DATE_EPOCH", "abc"), ("TZ", "nonsense")),
        *(("http_proxy", value) for value in ("nonsense", "http://[", "\n")),
    )),
    *({"stdout": how} for how in ("closed", "full", "pipe", "ascii")),
    *({"stderr": how} for how in ("closed", "full", "ascii")),
    *({"stdin": how} for how in ("closed",)),
    {"stdout": "closed", "stderr": "closed"},
    {"folder": "removed"},
    {"folder": "locked"},
    {"fresh": True, "environment": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}},
    {"fresh": True, "environment": {"PYTHONIOENCODING": "ascii"}},
    {"fresh": True, "environment": {"HOME": "/no/such", "TMPDIR": "/no/such"}},
    {"fresh": True, "environment": {"MPLBACKEND": "nonsense"}},
    {"fresh": True, "stdout": "closed"},
    {"fresh": True, "stderr": "closed"},
    {"fresh": True, "stdout": "full"},
    {"fresh": True, "folder": "removed"},
)  # fmt: skip


def _surroundings(given: Draw) -> dict[str, Any]:
    drawn: dict[str, Any] = given.one(SURROUNDINGS)
    return drawn


def smaller(case: Case) -> Generator[Case, None, None]:
    """Cases with one thing less in them."""
    for place in range(len(case.changes)):
        yield replace(case, changes=(*case.changes[:place], *case.changes[place + 1 :]))
    if case.surroundings:
        yield replace(case, surroundings={})
    for width in (2, 1):
        for place in range(len(case.verb.split()), len(case.words) - width + 1):
            yield replace(case, words=(*case.words[:place], *case.words[place + width :]))
