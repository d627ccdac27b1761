"""The cache folder: whole entries of ours or nothing, within bounds; and files known again without being read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from forensics.cache import BEGINNING, HEAD, Store, size_limit, usual_folder
from forensics.errors import CaseError
from forensics.sighting import RACY, Sighting, alike, sighting, unchanged
from tests.tiny import write

A, B, C = (f"sketch-{letter * 64}" for letter in "abc")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty cache."""
    return Store.open(tmp_path / "cache")


def fresh(store: Store) -> Store:
    """The same folder as another process finds it."""
    return Store(folder=store.folder, limit=store.limit, count=store.count)


def test_entry_is_read_as_it_was_written(store: Store) -> None:
    """Content comes back byte for byte, from a folder and files that are the owner's alone."""
    content = bytes(range(256)) * 100
    assert store.put(A, content)
    assert fresh(store).get(A) == content
    assert store.get(B) is None
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert (store.folder / A).stat().st_mode & 0o777 == 0o600
    assert os.listdir(store.folder) == [A]


def flipped(path: Path) -> None:
    """One bit of the content changed."""
    raw = bytearray(path.read_bytes())
    raw[HEAD + 3] ^= 1
    path.write_bytes(raw)


def linked(path: Path) -> None:
    """The entry moved away and linked to."""
    path.rename(path.parent.parent / "moved")
    path.symlink_to(path.parent.parent / "moved")


def pipe(path: Path) -> None:
    """A pipe in the entry's place."""
    path.unlink()
    os.mkfifo(path)


SPOILT: dict[str, Callable[[Path], object]] = {
    "flipped": flipped,
    "cut": lambda p: p.write_bytes(p.read_bytes()[:-1]),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"x"),
    "empty": lambda p: p.write_bytes(b""),
    "headless": lambda p: p.write_bytes(p.read_bytes()[HEAD:]),
    "head only": lambda p: p.write_bytes(BEGINNING + b"0" * 64 + b"\n"),
    "writable for others": lambda p: p.chmod(0o666),
    "link": linked,
    "pipe": pipe,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_spoilt_entry_is_removed_and_never_believed(spoil: Callable[[Path], object], store: Store) -> None:
    """What is no whole regular file that only we can write is missing, and gone afterwards; a link's target stays."""
    store.put(A, b"content")
    spoil(store.folder / A)
    assert store.get(A) is None
    assert os.listdir(store.folder) == []
    assert not (store.folder.parent / "moved").exists() or (store.folder.parent / "moved").read_bytes()


def aged(store: Store, name: str, seconds: float) -> None:
    """The entry as if it had been used that long ago."""
    then = time.time() - seconds
    os.utime(store.folder / name, (then, then))


def test_what_was_used_longest_ago_goes_first(store: Store) -> None:
    """Beyond the size bound the oldest entries go, a hit makes an entry young, and nothing more goes than must."""
    for name, age in ((A, 300), (B, 200), (C, 100)):
        store.put(name, bytes(1000))
        aged(store, name, age)
    later = fresh(store)
    later.limit = 2 * (1000 + HEAD)
    assert later.get(A) is not None
    later.trim()
    assert sorted(os.listdir(store.folder)) == [A, C]


def test_count_is_bounded(store: Store) -> None:
    """Beyond the bound on their number the oldest entries go as well."""
    for name, age in ((A, 300), (B, 200), (C, 100)):
        store.put(name, b"")
        aged(store, name, age)
    later = fresh(store)
    later.count = 1
    later.trim()
    assert os.listdir(store.folder) == [C]


def test_what_this_run_wrote_is_not_evicted(store: Store) -> None:
    """A run keeps its own entries even where they alone exceed the bound; the next run may evict them."""
    store.limit = 1500
    for name in (A, B):
        store.put(name, bytes(1000))
    store.trim()
    assert sorted(os.listdir(store.folder)) == [A, B]
    aged(store, A, 10)
    fresh(store).trim()
    assert os.listdir(store.folder) == [B]


def test_only_our_names_are_counted_or_removed(store: Store) -> None:
    """A folder with other files in it loses none of them, save what an earlier process began and left for long."""
    names = ["thesis.txt", "sketch-aaaa", f".{A}.{'0' * 16}.part", f".{B}.{'1' * 16}.part"]
    for name in names:
        (store.folder / name).write_bytes(bytes(5000))
        aged(store, name, 7200 if name.startswith(f".{A}") else 10)
    store.limit = 10
    store.trim()
    assert sorted(os.listdir(store.folder)) == sorted(set(names) - {names[2]})


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702], ids=oct)
def test_folder_that_others_can_write_to_is_refused(mode: int, tmp_path: Path) -> None:
    """A planted sketch would be forged evidence: such a folder is not used, and the message says why."""
    tmp_path.joinpath("cache").mkdir()
    tmp_path.joinpath("cache").chmod(mode)
    with pytest.raises(CaseError, match="other users can write"):
        Store.open(tmp_path / "cache")


def test_folder_that_others_can_exchange_is_refused(tmp_path: Path) -> None:
    """A folder below one that is open to all is refused, unless the sticky bit protects it; links are resolved."""
    above = tmp_path / "above"
    above.mkdir()
    (tmp_path / "link").symlink_to(above)
    above.chmod(0o777)
    with pytest.raises(CaseError, match="can exchange"):
        Store.open(tmp_path / "link" / "cache")
    above.chmod(0o1777)
    assert Store.open(tmp_path / "link" / "cache").folder == above / "cache"


def test_folder_that_cannot_be_had_is_said(tmp_path: Path) -> None:
    """A cache below a file, or that is a file, is an error in words."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "cache", Path("/proc/forensics")):
        with pytest.raises(CaseError, match=r"cannot be used|is no folder"):
            Store.open(folder)


def test_disk_that_refuses_is_told_once_and_left_alone(store: Store) -> None:
    """Where an entry cannot be written nothing is raised, the reason is kept, and no more is tried."""
    store.folder.rmdir()
    assert not store.put(A, b"")
    assert "could not be written: No such file" in store.trouble
    store.folder.mkdir()
    assert not store.put(A, b"")
    store.trim()


def test_usual_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own variable wins, then an absolute XDG_CACHE_HOME, then the home; without any there is an error."""
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setenv("FORENSICS_CACHE", "/ours")
    assert usual_folder() == Path("/ours")
    monkeypatch.delenv("FORENSICS_CACHE")
    assert usual_folder() == Path("/caches/forensics")
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert usual_folder() == Path("/home/somebody/.cache/forensics")
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(CaseError, match="no home"):
        usual_folder()


@pytest.mark.parametrize(("said", "bytes_"), [("1000", 1000), ("3k", 3072), ("2G", 2 << 30), ("", 2 << 30)])
def test_size_limit_is_read(said: str, bytes_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain bytes or K, M, G; nothing said means 2 GB."""
    monkeypatch.setenv("FORENSICS_CACHE_LIMIT", said)
    assert size_limit() == bytes_


@pytest.mark.parametrize("said", ["much", "-1", "1T", "1.5G", "٣"])
def test_odd_size_limit_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no size is an error, not a guess."""
    monkeypatch.setenv("FORENSICS_CACHE_LIMIT", said)
    with pytest.raises(CaseError, match="FORENSICS_CACHE_LIMIT"):
        size_limit()


HAMMER = """
import sys
from pathlib import Path
from forensics.cache import Store
store = Store.open(Path(sys.argv[1]))
store.limit, names = 3000, [f"sketch-{n:064x}" for n in range(8)]
for turn in range(150):
    name = names[turn * int(sys.argv[2]) % 8]
    store.put(name, name.encode() * 10)
    for other in names:
        assert store.get(other) in (None, other.encode() * 10)
    store.fresh.clear()
    store.trim()
assert not store.trouble, store.trouble
"""


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Two processes that write, read and evict at once never see a half entry and never fail."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, str(tmp_path / "cache"), step], stderr=subprocess.PIPE
        )
        for step in ("3", "5")
    ]
    for process in running:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told.decode()
    left = os.listdir(tmp_path / "cache")
    assert left
    assert not [name for name in left if name.endswith(".part")]


def seen(folder: Path, base: str = "") -> Sighting:
    """The folder as it is found now; long after its files were written, as far as it is told."""
    found = sighting(str(folder), base)
    assert found is not None
    return replace(found, taken=found.taken + 10 * RACY)


def rewritten(path: Path) -> None:
    """Other bytes of the same length, with the old modification time."""
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def copied(path: Path) -> None:
    """A copy in the file's place that keeps its modification time."""
    status = path.stat()
    raw = path.read_bytes()
    path.rename(path.parent.parent / "elsewhere")
    path.write_bytes(raw)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "bytes, time put back": (rewritten, True),
    "copy": (copied, True),
    "permissions": (lambda p: p.chmod(0o600), True),
    "touched": (lambda p: os.utime(p, ns=(1, 1)), False),
    "longer": (lambda p: p.write_bytes(p.read_bytes() + b"x"), False),
    "file beside": (lambda p: (p.parent / "chat_template.jinja").write_text(""), False),
    "renamed": (lambda p: p.rename(p.with_name("weights.safetensors")), False),
    "gone": (Path.unlink, False),
}


@pytest.mark.parametrize(("change", "looks_alike"), CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_folder_is_seen(
    change: Callable[[Path], object], looks_alike: bool, tmp_path: Path
) -> None:
    """Whatever is done to the files, they are no longer unchanged; only what keeps size and time still looks alike."""
    folder = write(tmp_path / "model")
    before = seen(folder)
    assert unchanged(before, seen(folder))
    time.sleep(0.02)  # more than a tick of the file system's clock
    change(folder / "model.safetensors")
    after = seen(folder)
    assert not unchanged(before, after)
    assert alike(before, after) == looks_alike


def test_file_written_just_before_it_was_read_is_not_trusted(tmp_path: Path) -> None:
    """Within two seconds a second writing may leave the same times, so that a fresh file is never unchanged."""
    folder = write(tmp_path / "model")
    found = sighting(str(folder), "")
    assert found is not None
    assert not unchanged(found, found)
    assert alike(found, found)
    assert unchanged(replace(found, taken=found.taken + RACY + 10**9), found)


def test_place_is_part_of_a_sighting(tmp_path: Path) -> None:
    """A copy elsewhere is another place, whatever its times, while a link to a folder leads to the same."""
    folder = write(tmp_path / "model")
    os.system(f"cp -a {folder} {tmp_path / 'twin'}")
    (tmp_path / "link").symlink_to(folder)
    assert not alike(seen(folder), seen(tmp_path / "twin"))
    assert unchanged(seen(folder), seen(tmp_path / "link"))
    single = seen(folder / "model.safetensors")
    assert single.single
    assert list(single.files) == ["model.safetensors"]


def test_base_belongs_to_an_adapter_only(tmp_path: Path) -> None:
    """An adapter's base is part of what was found, so that a changed base is a change; of other folders it is not."""
    base, plain, adapter = (write(tmp_path / name) for name in ("base", "plain", "adapter"))
    (adapter / "adapter_config.json").write_text("{}")
    merged, apart = seen(adapter, str(base)), seen(plain, str(base))
    assert "base/model.safetensors" in merged.beneath
    assert not apart.beneath
    time.sleep(0.02)
    rewritten(base / "config.json")
    assert not unchanged(merged, seen(adapter, str(base)))
    assert unchanged(apart, seen(plain, str(base)))


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": lambda f: os.mkfifo(f / "pipe"),
    "broken": lambda f: (f / "link").symlink_to("nowhere"),
    "names": lambda f: [(f / os.fsdecode(n)).write_text("") for n in (b"\xff", rb"\udcff")],
}


def test_odd_places_are_not_remembered(tmp_path: Path) -> None:
    """What is not there, a pipe among the files, a broken link and names that read alike have no sighting."""
    assert sighting(str(tmp_path / "nothing"), "") is None
    for name, spoil in ODD.items():
        folder = write(tmp_path / name)
        spoil(folder)
        assert sighting(str(folder), "") is None, name
