"""The baseline's code comes back as it was locked, with or without its history."""

import io
import shutil
import tarfile

import msgspec
import pytest

from pytest_mmgates.baseline.lockfile import Source
from pytest_mmgates.baseline.source import archive, changed_paths, compressed, head_of, sha256, unpack
from pytest_mmgates.errors import BaselineError

PATHS = ("src", "config.yaml")


@pytest.fixture
def source(repository, tmp_path):
    """What was locked: one module and one setting. The archive lies in `folder`."""
    commit = repository.commit(**{"src/bot.py": "QUOTE = 1\n", "config.yaml": "a: 1\n", "notes.txt": "n\n"})
    tar = archive(repository.path, commit, PATHS)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "demo.source.tar.xz").write_bytes(compressed(tar))
    _, at = head_of(repository.path)
    return Source(commit, at, PATHS, "demo.source.tar.xz", sha256(tar))


def test_the_archive_is_unpacked_whatever_became_of_the_history(source, repository, tmp_path):
    shutil.rmtree(repository.path / ".git")
    code = unpack(source, tmp_path / "folder", repository.path, tmp_path / "into")
    assert (code.root / "src" / "bot.py").read_text() == "QUOTE = 1\n"
    assert not (code.root / "notes.txt").exists()
    assert code.rung == "archive demo.source.tar.xz"


def test_without_the_archive_the_commit_gives_the_same_bytes(source, repository, tmp_path):
    repository.commit(**{"src/bot.py": "QUOTE = 2\n"})
    code = unpack(source, tmp_path / "nowhere", repository.path, tmp_path / "into")
    assert (code.root / "src" / "bot.py").read_text() == "QUOTE = 1\n"
    assert code.rung == f"commit {source.commit[:12]}"


def test_with_neither_it_says_what_is_missing(source, repository, tmp_path):
    shutil.rmtree(repository.path / ".git")
    with pytest.raises(BaselineError, match=r"no archive .*demo.source.tar.xz, and git archive: "):
        unpack(source, tmp_path / "nowhere", repository.path, tmp_path / "into")


def test_another_archive_is_refused_and_nothing_is_unpacked(source, repository, tmp_path):
    path = tmp_path / "folder" / "demo.source.tar.xz"
    commit = repository.commit(**{"src/bot.py": "QUOTE = 2\n"})
    path.write_bytes(compressed(archive(repository.path, commit, PATHS)))
    with pytest.raises(BaselineError, match=r"sha256 was .* as locked"):
        unpack(source, tmp_path / "folder", repository.path, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_damaged_archive_is_one_line(source, repository, tmp_path):
    (tmp_path / "folder" / "demo.source.tar.xz").write_bytes(b"not xz")
    with pytest.raises(BaselineError, match="cannot be unpacked"):
        unpack(source, tmp_path / "folder", repository.path, tmp_path / "into")


@pytest.mark.parametrize(("name", "kind"), [("../outside.py", tarfile.REGTYPE), ("link.py", tarfile.SYMTYPE)])
def test_what_is_no_file_of_code_is_not_unpacked(source, repository, tmp_path, name, kind):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as content:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/hostname"
        content.addfile(member, io.BytesIO())
        content.addfile(tarfile.TarInfo("src/bot.py"), io.BytesIO())
    (tmp_path / "folder" / "demo.source.tar.xz").write_bytes(compressed(held.getvalue()))
    other = msgspec.structs.replace(source, sha256=sha256(held.getvalue()))
    with pytest.raises(BaselineError, match="is no file of an archive of code"):
        unpack(other, tmp_path / "folder", repository.path, tmp_path / "into")
    assert not list((tmp_path / "into").rglob("*.py"))


def test_code_that_was_touched_after_unpacking_is_unpacked_anew(source, repository, tmp_path):
    asked = (source, tmp_path / "folder", repository.path, tmp_path / "into")
    root = unpack(*asked).root
    (root / "src" / "kept.cache").write_text("compiled")
    unpack(*asked)
    assert (root / "src" / "kept.cache").exists()
    (root / "src" / "bot.py").write_text("QUOTE = 3\n")
    unpack(*asked)
    assert (root / "src" / "bot.py").read_text() == "QUOTE = 1\n"
    assert not (root / "src" / "kept.cache").exists()


@pytest.mark.usefixtures("source")
def test_what_is_not_committed_is_named(repository):
    assert changed_paths(repository.path, PATHS) == []
    repository.write(**{"src/bot.py": "QUOTE = 9\n", "src/new.py": "", "notes.txt": "other\n"})
    assert sorted(changed_paths(repository.path, PATHS)) == ["src/bot.py", "src/new.py"]
