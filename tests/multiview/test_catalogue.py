"""The catalogue and its downloads, against a server on this machine."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.multiview import catalogue
from limbeck.multiview.catalogue import CATALOGUE, content_digest, download
from limbeck.multiview.data import load, missing_rows

HANDWRITTEN = CATALOGUE["handwritten"]
LEAVES = CATALOGUE["leaves100"]


class _Server(BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, bytes]] = {}
    redirects: ClassVar[dict[str, str]] = {}
    lie: ClassVar[int] = 0

    def do_GET(self) -> None:
        if self.path in self.redirects:
            self.send_response(302)
            self.send_header("Location", self.redirects[self.path])
            self.end_headers()
        elif self.path in self.pages:
            body = self.pages[self.path]
            self.send_response(200)
            if self.path != "/no-length":
                self.send_header("Content-Length", str(len(body) + self.lie))
            self.end_headers()
            self.wfile.write(body)
        else:
            self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], str]]:
    """`served(body)`: the address of a page that holds `body`."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_Server, "pages", {})
    monkeypatch.setattr(_Server, "redirects", {})
    monkeypatch.setattr(_Server, "lie", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def serve(body: bytes, page: str = "/archive.zip") -> str:
        _Server.pages[page] = body
        return f"http://127.0.0.1:{server.server_port}{page}"

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def _zipped(files: dict[str, bytes | str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@cache
def _digit_files(seed: int = 0) -> dict[str, bytes | str]:
    """Tables of the shapes of the UCI set, with other numbers in them."""
    generator = np.random.default_rng(seed)
    files: dict[str, bytes | str] = {"mfeat.info": "about"}
    for view, features in HANDWRITTEN.views.items():
        rows = generator.integers(0, 9, (2000, features))
        files[f"mfeat-{view}"] = "".join("  " + "  ".join(map(str, row)) + "\n" for row in rows)
    return files


def _leaf_files(folder: str = "100 leaves plant species/") -> dict[str, bytes | str]:
    generator = np.random.default_rng(0)
    files: dict[str, bytes | str] = {f"__MACOSX/{folder}data_Sha_64.txt": "", f"{folder}sample.txt": ""}
    for view, name in LEAVES.files.items():
        lines = []
        for species in range(100):
            for leaf in range(16):
                if (view, species, leaf) != ("texture", 0, 15):
                    values = ",".join(f"{value:.5g}" for value in generator.uniform(size=64))
                    lines.append(f"Acer {species:02d},{values}")
        files[folder + name] = "\n".join(lines) + "\n"
    return files


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _nothing_left(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


def test_entries_are_complete() -> None:
    for name, entry in CATALOGUE.items():
        assert entry.name == name
        assert entry.licence
        assert entry.source
        if entry.url is not None:
            assert entry.url.startswith("https://")
            assert entry.limit > 0
            assert set(entry.files) == set(entry.views)
        for digest in [*entry.digests.values(), *entry.contents.values()]:
            assert len(bytes.fromhex(digest)) == 32


def test_pinned_file_checksums_hold_for_the_real_values(shared_set: Callable[[str], Path]) -> None:
    """Printing the whole-number views of the stored set as UCI prints them gives the pinned bytes."""
    data = load(shared_set("handwritten"))
    fac = "".join(" " + " ".join(f"{value:4d}" for value in row) + "\n" for row in data.views["fac"].astype(int))
    pix = "".join("  " + "  ".join(map(str, row)) + "\n" for row in data.views["pix"].astype(int))
    assert _sha256(fac.encode()) == HANDWRITTEN.digests["fac"]
    assert _sha256(pix.encode()) == HANDWRITTEN.digests["pix"]


def test_pinned_leaf_contents_hold_for_the_real_values(shared_set: Callable[[str], Path]) -> None:
    """The stored copy calls margin `shape` and shape `fine_scale_margin`, and fills in the first texture."""
    data = load(shared_set("leaves100"))
    assert content_digest(data.views["shape"]) == LEAVES.contents["margin"]
    assert content_digest(data.views["fine_scale_margin"]) == LEAVES.contents["shape"]
    texture = data.views["texture"].copy()
    np.testing.assert_allclose(texture[0], texture[1:16].mean(axis=0), atol=1e-7)
    texture[0] = np.nan
    assert content_digest(texture) == LEAVES.contents["texture"]


def test_content_digest_ignores_order_and_missing_rows_only() -> None:
    view = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    digest = content_digest(view)
    assert content_digest(view[::-1]) == digest
    assert content_digest(np.concatenate([view, np.full((1, 3), np.nan)])) == digest
    view[2, 1] = np.nextafter(view[2, 1], np.float32(9))
    assert content_digest(view) != digest


def test_download_with_the_right_checksum(tmp_path: Path, served: Any, capfd: pytest.CaptureFixture[str]) -> None:
    archive = _zipped(_digit_files())
    result = download("handwritten", tmp_path / "new", url=served(archive), sha256=_sha256(archive).upper())
    assert result.path == tmp_path / "new" / "handwritten.npz"
    assert (result.sha256, result.verified) == (_sha256(archive), "the given SHA-256")
    assert result.sha256 in capfd.readouterr().err
    data = load(result.path)
    assert (data.name, data.samples, data.classes) == ("handwritten", 2000, 10)
    assert {name: view.shape[1] for name, view in data.views.items()} == HANDWRITTEN.views
    assert data.labels[[0, 199, 200, 1999]].tolist() == [0, 0, 1, 9]
    assert data.folds.shape == (5, 2000)
    assert [p.name for p in result.path.parent.iterdir()] == ["handwritten.npz"]


def test_wrong_checksum_leaves_nothing_and_keeps_the_old_file(tmp_path: Path, served: Any) -> None:
    archive = _zipped(_digit_files())
    (tmp_path / "handwritten.npz").write_bytes(b"old")
    with pytest.raises(InputError, match=f"SHA-256 is {_sha256(archive)}, not {'0' * 64}"):
        download("handwritten", tmp_path, url=served(archive), sha256="0" * 64, quiet=True)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("handwritten.npz", b"old")]


@pytest.mark.slow
def test_pinned_files_are_checked_one_by_one(tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _digit_files()
    url = served(_zipped(files))
    with pytest.raises(InputError, match=r"mfeat-fou has SHA-256 .*; nothing was kept"):
        download("handwritten", tmp_path, url=url, quiet=True)
    assert _nothing_left(tmp_path)
    digests = {view: _sha256(str(files[name]).encode()) for view, name in HANDWRITTEN.files.items()}
    monkeypatch.setitem(CATALOGUE, "handwritten", replace(HANDWRITTEN, digests=digests))
    assert download("handwritten", tmp_path, url=url, quiet=True).verified == "the published SHA-256 of its files"
    tampered = files | {"mfeat-mor": str(files["mfeat-mor"]).replace("8", "7", 1)}
    with pytest.raises(InputError, match="mfeat-mor"):
        download("handwritten", tmp_path, url=served(_zipped(tampered)), quiet=True)
    assert load(tmp_path / "handwritten.npz").samples == 2000


def test_leaves_pair_up_and_the_missing_texture_is_missing(
    tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _zipped(_leaf_files())
    url = served(archive)
    with pytest.raises(InputError, match=r"data_Mar_64.txt are not those known here.*sha256"):
        download("leaves100", tmp_path, url=url, quiet=True)
    assert _nothing_left(tmp_path)
    data = load(download("leaves100", tmp_path, url=url, sha256=_sha256(archive), quiet=True).path)
    assert (data.samples, data.classes, data.class_names[3]) == (1600, 100, "Acer 03")
    assert np.flatnonzero(missing_rows(data.views["texture"])).tolist() == [0]
    assert not missing_rows(data.views["margin"]).any()
    contents = {view: content_digest(np.asarray(values)) for view, values in data.views.items()}
    monkeypatch.setitem(CATALOGUE, "leaves100", replace(LEAVES, contents=contents))
    assert "values" in download("leaves100", tmp_path, url=url, quiet=True).verified


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mfeat-zer": "1 2 3\n"}, "mfeat-zer has shape"),
        ({"mfeat-zer": "1 2 3\n4 5\n"}, "mfeat-zer is not a table of numbers"),
        ({"mfeat-zer": "<html>"}, "mfeat-zer is not a table of numbers"),
        ({"copy/mfeat-zer": "1 2\n"}, "2 files 'mfeat-zer'"),
        ({"../evil": "x"}, "path that leaves it"),
        ({"/etc/evil": "x"}, "path that leaves it"),
        ({"a\\..\\evil": "x"}, "path that leaves it"),
        ({"c:evil": "x"}, "path that leaves it"),
    ],
)
def test_archives_that_are_not_the_set(tmp_path: Path, served: Any, change: dict[str, str], says: str) -> None:
    archive = _zipped(_digit_files() | change)
    with pytest.raises(InputError, match=says):
        download("handwritten", tmp_path / "in", url=served(archive), sha256=_sha256(archive), quiet=True)
    assert list(tmp_path.rglob("*")) == []


def test_huge_members_are_not_unpacked(tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_LARGEST_MEMBER", 1000)
    archive = _zipped(dict.fromkeys(HANDWRITTEN.files.values(), b"0" * 100_000))
    with pytest.raises(InputError, match="larger than"):
        download("handwritten", tmp_path, url=served(archive), sha256=_sha256(archive), quiet=True)


def test_what_is_no_zip(tmp_path: Path, served: Any) -> None:
    good = _zipped(_digit_files())
    for body in (b"", b"<html>sorry</html>", good[: len(good) // 2]):
        with pytest.raises(InputError, match="not a zip archive"):
            download("handwritten", tmp_path, url=served(body), quiet=True)
    assert _nothing_left(tmp_path)


def test_network_trouble_is_one_line(tmp_path: Path, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = served(b"x" * 5000)
    with pytest.raises(InputError, match="answered 404"):
        download("handwritten", tmp_path, url=url + "x", quiet=True)
    monkeypatch.setattr(_Server, "lie", 10)
    with pytest.raises(InputError, match=r"cut off after 5000 of 5010 bytes|download failed"):
        download("handwritten", tmp_path, url=url, quiet=True)
    monkeypatch.setattr(_Server, "lie", 0)
    monkeypatch.setitem(CATALOGUE, "handwritten", replace(HANDWRITTEN, limit=4999))
    with pytest.raises(InputError, match="5000 bytes, more than the 4999"):
        download("handwritten", tmp_path, url=url, quiet=True)
    with pytest.raises(InputError, match="more than the 4999 bytes"):
        download("handwritten", tmp_path, url=served(b"x" * 5000, "/no-length"), quiet=True)
    with pytest.raises(InputError, match="cannot be reached"):
        download("handwritten", tmp_path, url="http://127.0.0.1:1/archive.zip", timeout=5, quiet=True)
    assert _nothing_left(tmp_path)


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://host/a.zip", "data:,x", "archive.zip", "https://", "http://["]
)
def test_other_addresses_are_refused(tmp_path: Path, served: Any, address: str) -> None:
    with pytest.raises(InputError, match="not an address"):
        download("handwritten", tmp_path, url=address)
    url = served(b"")
    _Server.redirects["/archive.zip"] = address if ":" in address else "file:///etc/passwd"
    with pytest.raises(InputError, match=r"not an address|answered|failed"):
        download("handwritten", tmp_path, url=url, quiet=True)
    assert _nothing_left(tmp_path)


def test_redirections_to_http_are_followed(tmp_path: Path, served: Any) -> None:
    url = served(b"pictures")
    _Server.redirects["/moved"] = url
    moved = url.replace("/archive.zip", "/moved")
    result = download("caltech101", tmp_path, url=moved, sha256=_sha256(b"pictures"), quiet=True)
    assert result.path.read_bytes() == b"pictures"


def test_photographs_need_a_checksum_and_are_kept_whole(tmp_path: Path, served: Any) -> None:
    body = b"pictures"
    url = served(body)
    with pytest.raises(InputError, match=r"caltech101: no checksum .*doi:10\.22002/D1\.20086"):
        download("caltech101", tmp_path, url=url)
    with pytest.raises(InputError, match="SHA-256 is"):
        download("caltech101", tmp_path, url=url, sha256="0" * 64, quiet=True)
    assert _nothing_left(tmp_path)
    result = download("caltech101", tmp_path, url=url, sha256=_sha256(body), quiet=True)
    assert result.path == tmp_path / "caltech-101.zip"
    assert result.path.read_bytes() == body


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known set 'mnist'; choose one of digits, handwritten"):
        download("mnist", tmp_path)
    with pytest.raises(InputError, match="digits is embedded"):
        download("digits", tmp_path)
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        download("handwritten", tmp_path, sha256="abc")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this is a file"):
        download("handwritten", tmp_path / "file")
