"""The known multi-view sets: what they are, whose they are, and how to get them, checked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import io
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from limbeck.errors import InputError
from limbeck.files import DAMAGED_ZIP, atomic_writer, is_number
from limbeck.multiview.data import MultiViewData, assemble, save, stratified_folds
from limbeck.reporting.terminal import one_line

_CHUNK = 1 << 18
_MIB = 1 << 20
_MOST_MEMBERS = 100_000
_LARGEST_MEMBER = 64 * _MIB

Members = Mapping[str, bytes]


@dataclass(frozen=True)
class CatalogueEntry:
    """One known set.

    Attributes:
        name: what `load` or `download` calls it.
        what: one line.
        samples: how many.
        classes: how many.
        views: view -> features; empty where the set is raw pictures.
        source: where it comes from, in words.
        licence: as the source states it.
        doi: of the set, or "".
        url: of the archive; None for an embedded set.
        limit: the most bytes that a download may have.
        files: the files of the archive that are used, by the name of the view they hold.
        digests: view -> SHA-256 of that file as published.
        contents: view -> SHA-256 of its float32 values, rows sorted (`content_digest`).
        note: what a user should know before using it.
    """

    name: str
    what: str
    samples: int
    classes: int
    views: Mapping[str, int]
    source: str
    licence: str
    doi: str = ""
    url: str | None = None
    limit: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Download:
    """What `download` left behind.

    Attributes:
        path: the file.
        sha256: of the archive as it came over the wire.
        verified: against what it was checked, in words.
    """

    path: Path
    sha256: str
    verified: str


_DIGITS = CatalogueEntry(
    name="digits",
    what="handwritten digits, 8 x 8, six views computed on the spot",
    samples=1797,
    classes=10,
    views={"pixels": 64, "fourier": 34, "zernike": 25, "karhunen_loeve": 32, "profiles": 48, "morphology": 8},
    source="pictures that ship with scikit-learn (UCI Optical Recognition of Handwritten Digits, test split)",
    licence="CC BY 4.0 (UCI)",
    doi="10.24432/C50P49",
    note="embedded: no download",
)

# No checksum of the archive is known, but those of the six files in it are published. Those of mfeat-fac and mfeat-pix
# were reproduced from an independent copy of the values (tests/multiview/test_catalogue.py); the other four, printed
# from numbers with more digits than float32 holds, could not be.
_HANDWRITTEN = CatalogueEntry(
    name="handwritten",
    what="UCI Multiple Features, handwritten digits in six descriptors (the papers' «Hand»)",
    samples=2000,
    classes=10,
    views={"fou": 76, "fac": 216, "kar": 64, "pix": 240, "zer": 47, "mor": 6},
    source="UCI Machine Learning Repository, data set 72 (R. Duin)",
    licence="CC BY 4.0 (UCI)",
    doi="10.24432/C5HC70",
    url="https://archive.ics.uci.edu/static/public/72/multiple+features.zip",
    limit=64 * _MIB,
    files={view: f"mfeat-{view}" for view in ("fou", "fac", "kar", "pix", "zer", "mor")},
    digests={
        "fou": "d2bed48a4d302efe77bd80d52e16a211e99efe6fee9baf1c28dcc199c43c50ad",
        "fac": "83be9bc9fd50c6dd0b0532f6b6101956f1cf51c71b33f22d3f0cd2b5befb31b5",
        "kar": "db832668544497d0c06a2c1d1bfa0e17ba672812b7cfa6ed19f0941e19e1d7fa",
        "pix": "70a1cd033add46614464a8740ddc23c3693765985bde52ccb6b702bff23b64f1",
        "zer": "d4a0e302f2f61e823b906f78818c7c0ef078c0bbc23022affd6607d60ecfe4f3",
        "mor": "8767b326d874f096de06d525a2df4e610f4e9dfe91e29c250d8a3054907e3b61",
    },
    note="six samples are exact copies of another one in all six views; view mor mixes scales (0 to 17600)",
)

# The content digests come from a public copy of the set whose numbers are all printed with five significant digits, so
# that reading them as float32 is exact; the archive itself was not at hand.
_LEAVES100 = CatalogueEntry(
    name="leaves100",
    what="UCI one-hundred plant species leaves, three descriptors of a leaf's outline and face",
    samples=1600,
    classes=100,
    views={"margin": 64, "shape": 64, "texture": 64},
    source="UCI Machine Learning Repository, data set 241 (C. Mallah, J. Cope, J. Orwell)",
    licence="CC BY 4.0 (UCI)",
    url="https://archive.ics.uci.edu/static/public/241/one+hundred+plant+species+leaves+data+set.zip",
    limit=256 * _MIB,
    files={"margin": "data_Mar_64.txt", "shape": "data_Sha_64.txt", "texture": "data_Tex_64.txt"},
    contents={
        "margin": "b72e27f8342713b9decf3e11352f7d4733a215dbb317a453fbca72a975990505",
        "shape": "5d18859e9ec8f5df60e4c704d5be11f74b23b33dd93c568c1349dfe948d6c34c",
        "texture": "4837a0b964204c8fe162aef42ebb17199b892a207cd916d09ce8947da209f949",
    },
    note="the texture of one Acer campestre leaf is missing at the source (public copies fill in a mean)",
)

_CALTECH101 = CatalogueEntry(
    name="caltech101",
    what="Caltech 101, photographs of objects; the views (descriptors) are not part of it",
    samples=9144,
    classes=102,
    views={},
    source="CaltechDATA (F.-F. Li, M. Andreeto, M. Ranzato, P. Perona, 2022)",
    licence="CC BY 4.0",
    doi="10.22002/D1.20086",
    url="https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
    limit=1024 * _MIB,
    note="the papers' views are Gabor 48, wavelet moments 40, CENTRIST 254, HOG 1984, GIST 512 and LBP 928: compute "
    "them from the photographs, or `convert` a .mat file that holds them",
)

CATALOGUE: dict[str, CatalogueEntry] = {entry.name: entry for entry in (_DIGITS, _HANDWRITTEN, _LEAVES100, _CALTECH101)}


def download(
    name: str,
    directory: str | Path,
    *,
    url: str | None = None,
    sha256: str | None = None,
    timeout: float = 60.0,
    quiet: bool = False,
) -> Download:
    """Fetch a known set, check it and write `<name>.npz` (for caltech101: the archive) into `directory`.

    The archive is checked against `sha256` where it is given, and otherwise against the checksums of its files or of
    their values in the catalogue; where the catalogue has neither, `sha256` is required. What fails a check leaves
    nothing behind, and a file that stood there before stays. The five folds are drawn with `stratified_folds`, seed
    0. Nothing of an archive is unpacked to disk.

    Args:
        name: of an entry of `CATALOGUE`.
        directory: made when absent.
        url: of another copy of the archive, http or https.
        sha256: of the archive; the archive is refused if it differs.
        timeout: seconds without an answer before giving up.
        quiet: show neither progress nor the checksum on stderr.

    Raises:
        InputError: unknown name, unusable address, no answer, or the archive fails a check.
        OSError: the disk is full or the folder cannot be written.
    """
    entry = CATALOGUE.get(name)
    if entry is None:
        raise InputError(f"there is no known set {name!r}; choose one of {', '.join(CATALOGUE)}")
    if entry.url is None:
        raise InputError(f"{name} is embedded: there is nothing to download; load it by its name")
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise InputError(f"sha256 must be 64 hexadecimal digits, not {sha256!r}")
    if sha256 is None and not entry.digests and not entry.contents:
        raise InputError(
            f"{name}: no checksum of this archive is known here; compare the file with the checksum on its page "
            f"(doi:{entry.doi}), then pass its SHA-256 with sha256"
        )
    address = url or entry.url
    _check_address(address)
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: this is a file; give a folder")

    def fetch(stream: IO[bytes]) -> str:
        digest = _fetch(address, stream, entry.limit, timeout, quiet)
        if sha256 is not None and digest != sha256.lower():
            raise InputError(f"{address}: the SHA-256 is {digest}, not {sha256.lower()}; nothing was kept")
        return digest

    if not entry.views:
        path = folder / PurePosixPath(urllib.parse.urlsplit(entry.url).path).name
        with atomic_writer(path) as stream:
            digest = fetch(stream)
        return Download(path, digest, "the given SHA-256")
    path = folder / f"{name}.npz"
    with tempfile.TemporaryFile() as archive:  # nameless: nothing can be left behind
        digest = fetch(archive)
        members = _read_members(archive, entry.files, address)
        data, verified = _build(entry, members, address, vouched=sha256 is not None)
    save(data, path)
    return Download(path, digest, verified)


def content_digest(view: NDArray[Any]) -> str:
    """SHA-256 of a view's values as little-endian float32, rows in ascending order, missing rows left out."""
    values = np.asarray(view, dtype="<f4")
    values = values[~np.isnan(values).all(axis=1)]
    return hashlib.sha256(values[np.lexsort(values.T[::-1])].tobytes()).hexdigest()


def _build(entry: CatalogueEntry, members: Members, origin: str, *, vouched: bool) -> tuple[MultiViewData, str]:
    """Check the files of an archive and make the set of them; `vouched`: the user gave the archive's checksum."""
    if not vouched:
        for view, wanted in entry.digests.items():
            found = hashlib.sha256(members[view]).hexdigest()
            if found != wanted:
                raise InputError(f"{origin}: {entry.files[view]} has SHA-256 {found}, not {wanted}; nothing was kept")
    views, labels, class_names = _PARSERS[entry.name](entry, members, origin)
    for view, features in entry.views.items():
        if views[view].shape != (entry.samples, features):
            raise InputError(
                f"{origin}: {entry.files[view]} has shape {views[view].shape}, "
                f"not {(entry.samples, features)}; nothing was kept"
            )
    if not vouched:
        for view, wanted in entry.contents.items():
            if content_digest(views[view]) != wanted:
                raise InputError(
                    f"{origin}: the values of {entry.files[view]} are not those known here, so nothing was kept; "
                    "if you trust this archive, pass its SHA-256 with sha256"
                )
    folds = stratified_folds(labels)
    data = assemble(entry.name, views, labels, class_names=class_names, folds=folds, origin=origin)
    if vouched:
        return data, "the given SHA-256"
    return data, "the published SHA-256 of its files" if entry.digests else "the known SHA-256 of its values"


_Parsed = tuple[dict[str, NDArray[Any]], NDArray[np.int64], list[str]]


def _parse_handwritten(entry: CatalogueEntry, members: Members, origin: str) -> _Parsed:
    """Six tables of blank-separated numbers; 200 rows of each digit, from 0 to 9."""
    views = {}
    for view in entry.views:
        try:
            views[view] = np.loadtxt(io.BytesIO(members[view]), dtype=np.float64, ndmin=2)
        except ValueError as error:
            raise InputError(f"{origin}: {entry.files[view]} is not a table of numbers ({error})") from error
    labels = np.repeat(np.arange(entry.classes), entry.samples // entry.classes)
    return views, labels, [str(digit) for digit in range(entry.classes)]


def _parse_leaves(entry: CatalogueEntry, members: Members, origin: str) -> _Parsed:
    """Three comma-separated tables, the species first in each row; samples pair up by their order in the species.

    A species with fewer rows in one table than in another lacks that view in its first samples: the source does not
    say in which, and the public copies of the set take it so.
    """
    tables: dict[str, dict[str, list[list[float]]]] = {}
    titles: dict[str, str] = {}
    for view in entry.views:
        table = tables.setdefault(view, {})
        for number, line in enumerate(members[view].decode("utf-8", "replace").splitlines(), 1):
            if not line.strip():
                continue
            species, *cells = line.split(",")
            key = " ".join(species.split()).casefold()
            titles.setdefault(key, " ".join(species.split()))
            try:
                table.setdefault(key, []).append([float(cell) for cell in cells])
            except ValueError as error:
                raise InputError(f"{origin}: {entry.files[view]}, line {number}: {error}") from error
    order = sorted(titles)
    counts = {key: max(len(table.get(key, [])) for table in tables.values()) for key in order}
    views: dict[str, NDArray[Any]] = {}
    for view, features in entry.views.items():
        rows: list[list[float]] = []
        for key in order:
            known = tables[view].get(key, [])
            rows += [[np.nan] * features] * (counts[key] - len(known)) + known
        if {len(row) for row in rows} != {features}:
            raise InputError(f"{origin}: {entry.files[view]} has rows that are not a name and {features} numbers")
        views[view] = np.array(rows, dtype=np.float64)
    labels = np.repeat(np.arange(len(order)), [counts[key] for key in order])
    return views, labels, [titles[key] for key in order]


_PARSERS: dict[str, Callable[[CatalogueEntry, Members, str], _Parsed]] = {
    "handwritten": _parse_handwritten,
    "leaves100": _parse_leaves,
}


def _read_members(stream: IO[bytes], files: Mapping[str, str], origin: str) -> dict[str, bytes]:
    """Read the wanted files of a zip archive into memory, by their bare names, wherever in it they lie."""
    members: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            if len(names) > _MOST_MEMBERS:
                raise InputError(f"{origin}: the archive has {len(names)} files; nothing was kept")
            for name in names:
                windows = PureWindowsPath(name)  # takes both kinds of slash apart, and drive letters
                if ".." in windows.parts or windows.root or windows.drive:
                    raise InputError(f"{origin}: the archive holds a path that leaves it, {name!r}; nothing was kept")
            for view, wanted in files.items():
                found = [n for n in names if PurePosixPath(n).name == wanted and not n.startswith("__MACOSX/")]
                if len(found) != 1:
                    raise InputError(f"{origin}: the archive holds {len(found)} files {wanted!r}, not one")
                with archive.open(found[0]) as member:
                    members[view] = member.read(_LARGEST_MEMBER + 1)
                if len(members[view]) > _LARGEST_MEMBER:
                    raise InputError(f"{origin}: {wanted} is larger than {_LARGEST_MEMBER // _MIB} MiB")
    except InputError:
        raise
    except DAMAGED_ZIP as error:
        raise InputError(f"{origin}: this is not a zip archive, or a damaged one ({error})") from error
    return members


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirections to http and https only, and never from https down to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_address(newurl)
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme != "https":
            raise InputError(f"{req.full_url}: the server redirects to an unprotected address, {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_address(address: str) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise InputError(f"{address!r} is not an address to download from; give one that starts with https://")


def _fetch(address: str, stream: IO[bytes], limit: int, timeout: float, quiet: bool) -> str:
    """Copy what `address` answers into `stream`; returns its SHA-256."""
    # Built by hand: urllib's default opener would also take file:, ftp: and data: addresses.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(address, headers={"User-Agent": "limbeck"})
    digest = hashlib.sha256()
    console = Console(stderr=True, quiet=quiet)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with _network_errors(address):
        answer = opener.open(request, timeout=timeout)
    if answer is None:
        raise InputError(f"{address}: no answer that can be used")
    with answer, Progress(*columns, console=console, transient=True) as progress:
        length = answer.headers.get("Content-Length", "")
        total = int(length) if is_number(length) else None
        if total is not None and total > limit:
            raise InputError(f"{address}: {total} bytes, more than the {limit} that this set may have")
        name = PurePosixPath(urllib.parse.urlsplit(address).path).name or address
        task = progress.add_task(one_line(name), total=total)
        received = 0
        while True:
            with _network_errors(address):
                chunk = answer.read(_CHUNK)
            if not chunk:
                break
            received += len(chunk)
            if received > limit:
                raise InputError(f"{address}: more than the {limit} bytes that this set may have; nothing was kept")
            digest.update(chunk)
            stream.write(chunk)
            progress.update(task, completed=received)
        if total is not None and received != total:
            raise InputError(f"{address}: cut off after {received} of {total} bytes; nothing was kept; try again")
    console.print(one_line(f"{digest.hexdigest()}  {address}"), soft_wrap=True, highlight=False, markup=False)
    return digest.hexdigest()


@contextlib.contextmanager
def _network_errors(address: str) -> Iterator[None]:
    """Tell what the network did in one line; what the disk does stays an OSError."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{address}: the server answered {error.code} {error.reason}; check the address") from error
    except urllib.error.URLError as error:
        raise InputError(f"{address}: cannot be reached ({error.reason}); check the network and the address") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{address}: the download failed ({error or type(error).__name__}); try again") from error
