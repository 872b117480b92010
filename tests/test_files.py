"""Writing files atomically."""

import errno
import json
import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import InputError
from limbeck.files import (
    Arrays,
    array_names,
    atomic_writer,
    file_kind,
    is_number,
    read_json,
    read_text,
    resolved,
    write_json,
    write_text,
)


def _full_disk(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_file_and_its_folders_appear_with_ordinary_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.bin"
    old = os.umask(0o022)
    try:
        with atomic_writer(path) as stream:
            stream.write(b"one")
            assert not path.exists()
    finally:
        os.umask(old)
    assert path.read_bytes() == b"one"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("trouble", [ValueError, KeyboardInterrupt])
def test_trouble_in_the_block_leaves_the_old_file_alone(tmp_path: Path, trouble: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write() -> None:
        with atomic_writer(path) as stream:
            stream.write(b"new")
            raise trouble

    with pytest.raises(trouble):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_full_disk_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(OSError, match=r"No space left.*file\.txt"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except (PermissionError, AttributeError):
        pytest.skip("only the administrator of a Unix system may make a device")
    for target in (path, tmp_path / "link"):
        if target != path:
            target.symlink_to(path)
        write_text(target, "new")
        with atomic_writer(target) as stream:  # zipfile goes back where it can
            np.savez(stream, rows=np.zeros(10))
        assert stat.S_ISCHR(path.stat().st_mode)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "null"]


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes")
def test_a_pipe_is_written_to_where_somebody_reads(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(InputError, match=r"pipe: a pipe that nobody reads"):
        write_text(path, "new")
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_text(path, "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="sockets are no files")
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("here")
        with pytest.raises(InputError, match="here: neither a file nor a pipe"):
            write_text("here", "new")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_text("old")
    (tmp_path / "link").symlink_to(Path("far", "file"))
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "far" / "file").read_text() == "new"
    assert [one.name for one in (tmp_path / "far").iterdir()] == ["file"]


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "t", "Karhunen-Loève\n")
    assert (tmp_path / "t").read_bytes() == "Karhunen-Loève\n".encode()


def test_json_round_trip_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    write_json(path, {"accuracy": [0.5, 1], "name": "é"})
    assert json.loads(path.read_text()) == {"accuracy": [0.5, 1], "name": "é"}
    assert path.read_text().endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    assert json.loads(path.read_text())["name"] == "é"


def test_whole_numbers_are_ascii_digits_that_fit() -> None:
    for word in ("0", "0007", "9" * 18):
        assert is_number(word)
        assert np.int64(int(word)) == int(word)
    for word in ("", "-1", "+1", " 1", "1_0", "\u00b2", "\u0663", "9" * 19, "9" * 5000):
        assert not is_number(word)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("read", [Arrays, file_kind, read_text, read_json])
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(read: Callable[[Path], object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(InputError, match=f"{name}: is a pipe or a device, not a file"):
            read(tmp_path / name)
        assert array_names(tmp_path / name) == set()


def test_json_is_read_or_what_is_wrong_is_a_value_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1]})
    assert read_json(path) == {"a": [1]}
    for text in ("", "[" * 100_000, "9" * 5000):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"Expecting value|nested too deep|digits"):
            read_json(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        read_json(path)


def test_a_path_is_absolute_or_what_is_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a").symlink_to("b")
    assert resolved("~/a") == (tmp_path / "b").resolve()
    with pytest.raises(InputError, match="cannot be found"):
        resolved("a\0b")
    with pytest.raises(InputError, match="~nobody-here/a: cannot be found"):
        resolved("~nobody-here/a")
    (tmp_path / "b").symlink_to("a")
    if sys.version_info < (3, 13):  # later ones leave such links as they are
        with pytest.raises(InputError, match="a: cannot be found"):
            resolved("~/a")
