#!/usr/bin/env python3
"""rrd-pack: bundles are reproducible, others can read them, what is wrong with one is found, unpacking stays inside."""
import hashlib
import io
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

BIN = os.path.abspath(sys.argv[1])
PACK, DUMP, MERGE, LOG, LEFT = (os.path.join(BIN, name) for name in
                                       ("rrd-pack", "rrd-dump", "rrd-merge", "log_cli", "log_left"))
SUFFIXES = ("tar.zst", "tar.gz", "tar", "zip")
MEMBERS = ["a.rrd", "dir/sub/é.txt", "dir/x", "host3/b.rrd", "left.rrd", "notes.txt"]  # and left.rrd's spool
random.seed(4)


def run(*command, code=0, stdin=subprocess.DEVNULL, **more):
    result = subprocess.run([str(c) for c in command], stdin=stdin, capture_output=True, timeout=120, **more)
    assert result.returncode == code, f"{command}: exit {result.returncode}, not {code}: {result.stderr.decode()}"
    return result


def rows(*arguments):
    result = run(DUMP, "--format=ndjson", *arguments)
    assert result.stderr == b"", result.stderr
    return result.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def tree(directory):
    return {os.path.relpath(os.path.join(top, name), directory): read(os.path.join(top, name))
            for top, _, names in os.walk(directory) for name in names}


def manifest(bundle):
    return json.loads(run(PACK, "--list", "--json", bundle).stdout)


def test_cli():
    text = run(PACK, "--help").stdout.decode()
    assert text.startswith("Usage: rrd-pack ") and all(len(line) <= 80 for line in text.splitlines()), text
    manual = open(f"{os.environ['RK_SOURCE_DIR']}/docs/man/rrd-pack.1").read()
    options = re.findall(r"^ +(?:-([a-zA-Z]), )?--([a-z-]+)", text, re.M)
    assert len(options) > 10, options
    for letter, name in options:
        assert re.search(rf"Fl Fl {name}\b", manual), f"--{name} is not in the manual"
        assert not letter or re.search(rf"Fl {letter} , Fl Fl {name}\b", manual), f"-{letter}"
    for arguments in ([], ["a.rrd"], ["-o", "x.tar"], ["-o", "x.rar", "a.rrd"], ["-o", "x.tar", "--level=0", "a.rrd"],
                      ["-o", "x.zip", "--level=15", "a.rrd"], ["--list"], ["--list", "--verify", "x.tar"],
                      ["--list", "-o", "x.tar", "a.rrd"], ["-C", "x", "-o", "x.tar", "a.rrd"], ["--json", "-o", "x.tar", "a.rrd"],
                      ["--format=rar", "-o", "x", "a.rrd"]):
        assert b"Try 'rrd-pack --help'." in run(PACK, *arguments, code=2).stderr
    run(PACK, "-o", "x.tar", "nothing", code=1)
    run(PACK, "-o", "a.tar", "a.rrd", "-", code=1)
    run(PACK, "-o", "/dev/full", "--format=tar", "a.rrd", code=1)
    with open("/dev/full", "wb") as full:
        assert b"standard output: " in subprocess.run([PACK, "-o", "-", "a.rrd"], stdout=full, stderr=subprocess.PIPE, timeout=60).stderr
    shutil.copy("a.rrd", "c.rrd")
    run(PACK, "-o", "c.rrd", "--format=tar", "c.rrd", code=1)
    assert read("c.rrd") == read("a.rrd")
    assert not os.path.exists("x.tar") and not os.path.exists("a.tar")
    for name in ("a.rrd", "notes.txt", "dir", "nothing"):
        run(PACK, "--list", name, code=1)
        run(PACK, "--verify", name, code=1)
        run(PACK, "--extract", name, code=1)


def test_bundles():
    expected = rows("a.rrd", "host3/b.rrd", "left.rrd")
    run(MERGE, "-o", "files.rrd", "a.rrd", "host3/b.rrd", "left.rrd")
    sums = {}
    for suffix in SUFFIXES:
        bundle = f"b.{suffix}"
        result = run(PACK, "-o", bundle, "a.rrd", "host3/b.rrd", "left.rrd", "notes.txt", "dir")
        assert result.stderr == b"rrd-pack: note: dir/link is left out: neither a file nor a directory\n", result.stderr
        os.utime("notes.txt", (1, 1))
        run(PACK, "--threads=1", "-o", f"again.{suffix}", "dir", "./left.rrd", "notes.txt", ".//host3/b.rrd",
            "a.rrd", env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"})
        assert read(bundle) == read(f"again.{suffix}"), f"{suffix}: not reproducible"
        piped = run(PACK, "-o", "-", f"--format={suffix}", "a.rrd", "host3/b.rrd", "left.rrd", "notes.txt", "dir").stdout
        assert piped == read(bundle), suffix
        assert rows(bundle) == expected
        assert rows(f"{bundle}:host3/**") == rows("host3/b.rrd")
        run(MERGE, "-o", "bundle.rrd", bundle)
        assert read("bundle.rrd") == read("files.rrd")
        run(PACK, "--verify", bundle)
        assert json.loads(run(PACK, "--verify", "--json", bundle).stdout)["verdict"] == "sound"
        run(PACK, "--verify", "-q", bundle)
        listed = manifest(bundle)
        names = [m["name"] for m in listed["members"]]
        assert [n for n in names if ".spool/" not in n] == MEMBERS and len(names) == len(MEMBERS) + 2, names
        of = {m["name"]: m for m in listed["members"]}
        assert of["a.rrd"]["kind"] == "recording" and of["a.rrd"]["rows"] == 182 and of["a.rrd"]["writers"] == 3
        assert of["a.rrd"]["recordings"] == [{"application_id": "check_cli", "recording_id": "one"}]
        assert of["left.rrd"]["spool_rows"] == 30 and of["notes.txt"]["kind"] == "attachment"
        assert b"host3/b.rrd" in run(PACK, "--list", bundle).stdout
        sums[suffix] = listed["members"]
        os.mkdir("out")
        run(PACK, "--extract", "-C", "out", bundle)
        unpacked = tree("out")
        assert sorted(unpacked) == sorted(names), sorted(unpacked)
        for name in names:
            assert unpacked[name] == read(name) and len(unpacked[name]) == of[name]["size"], name
        assert rows("out/a.rrd", "out/host3/b.rrd", "out/left.rrd") == expected, "with the spool"
        result = run(PACK, "--extract", "-C", "out", bundle, code=1)
        assert result.stderr.count(b"is there already") == len(names)
        write("out/notes.txt", b"changed")
        run(PACK, "--extract", "--force", "-C", "out", bundle)
        assert tree("out") == unpacked
        shutil.rmtree("out")
        os.mkdir("out")
        run(PACK, "--extract", "-C", "out", bundle, "left.rrd", "dir/sub", "*.txt")
        assert sorted(n for n in tree("out") if ".spool/" not in n) == ["dir/sub/é.txt", "left.rrd", "notes.txt"]
        assert len(tree("out")) == 5
        run(PACK, "--extract", "-C", "out", bundle, "nope", code=1)
        run(PACK, "--extract", "-C", "nowhere", bundle, code=1)
        shutil.rmtree("out")
    assert sums["zip"] == sums["tar.zst"] == sums["tar"] == sums["tar.gz"]


def test_others_read_them():
    names = ["MANIFEST.json"] + [m["name"] for m in manifest("b.zip")["members"]]
    for suffix in SUFFIXES:
        listed = run("bsdtar", "-tf", f"b.{suffix}", env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.decode().splitlines()
        assert listed == names, listed
    run("unzip", "-tq", "b.zip")
    run("zstd", "-qt", "b.tar.zst")
    run("gzip", "-t", "b.tar.gz")
    with zipfile.ZipFile("b.zip") as archive:
        assert archive.testzip() is None and archive.namelist() == names
        assert archive.read("host3/b.rrd") == read("host3/b.rrd")
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with tarfile.open("b.tar.gz") as archive:
        assert archive.getnames() == names
        assert all(m.uid == m.gid == 0 and m.mode == 0o644 and m.isreg() and m.mtime == 315532800 for m in archive)
    told = {m["name"]: m["xxh3_128"] for m in manifest("b.zip")["members"]}
    assert run("xxhsum", "-H2", "a.rrd").stdout.decode().split()[0] == told["a.rrd"]


def test_large():
    """Enough for several threads' jobs: the bytes do not depend on them."""
    write("large.bin", random.randbytes(1 << 20) * 40)
    digests = set()
    for threads in (1, 2, 5):
        run(PACK, f"--threads={threads}", "-o", "large.tar.zst", "large.bin", "a.rrd")
        digests.add(hashlib.sha256(read("large.tar.zst")).hexdigest())
    assert len(digests) == 1
    run(PACK, "--verify", "-q", "large.tar.zst")
    small = os.path.getsize("large.tar.zst")
    run(PACK, "--level=19", "-o", "large.tar.zst", "a.rrd", "notes.txt")
    assert os.path.getsize("large.tar.zst") < small
    os.unlink("large.bin")


def test_names_and_kinds():
    os.mkdir("other")
    shutil.copy("a.rrd", "other/a.rrd")
    write("other/new.tar", b"")
    os.chdir("other")
    result = run(PACK, "-o", "x.tar", "a.rrd", "../a.rrd", code=1)
    assert b"would be the member a.rrd" in result.stderr, result.stderr
    assert not os.path.exists("x.tar")
    run(PACK, "-o", "x.tar", "../host3/b.rrd", "a.rrd", "./a.rrd", os.path.abspath("../notes.txt"))
    names = [m["name"] for m in manifest("x.tar")["members"]]
    assert names[0] == "a.rrd" and names[1] == "host3/b.rrd" and names[2].endswith("/notes.txt") and not names[2].startswith("/")
    run(PACK, "-o", "x.tar", ".")  # the output in the directory is no member
    assert [m["name"] for m in manifest("x.tar")["members"]] == ["a.rrd", "new.tar"]
    os.chdir("..")
    write("broken.rrd", b"no recording at all")
    result = run(PACK, "-o", "x.tar", "broken.rrd", code=3)
    assert manifest("x.tar")["members"][0]["kind"] == "attachment" and b"packed as an attachment" in result.stderr
    with open("damaged.rrd", "wb") as file:
        data = bytearray(read("a.rrd"))
        data[len(data) // 2] ^= 1
        file.write(data)
    run(PACK, "-o", "x.tar", "damaged.rrd")
    run(PACK, "--verify", "x.tar", code=3)  # the sums are right, the recording is not
    os.mkdir("\x1b[31m")
    write("\x1b[31m/x", b"x")
    run(PACK, "-o", "y.tar", "\x1b[31m", code=1)
    write("MANIFEST.json", b"{}")
    run(PACK, "-o", "y.tar", "MANIFEST.json", code=1)
    assert not os.path.exists("y.tar")


def test_shared_spools():
    os.mkdir("spools")
    environment = {**os.environ, "RRDKIT_SPOOL_DIR": os.path.abspath("spools")}
    run(LEFT, "shared.rrd", env=environment)
    run(LEFT, "unrelated.rrd", env=environment)
    expected = run(DUMP, "--format=ndjson", "shared.rrd", env=environment).stdout
    run(PACK, "-o", "x.tar", "shared.rrd", env=environment)
    assert len(manifest("x.tar")["members"]) == 3
    assert rows("x.tar") == expected and expected.count(b"\n") > 50
    run(PACK, "--ignore-spool", "-o", "x.tar", "left.rrd")
    assert len(manifest("x.tar")["members"]) == 1


def test_living():
    """A recording that somebody writes is refused, or taken as far as it reaches, without the rings of the living."""
    with open("locked.rrd", "wb") as file:
        file.write(read("a.rrd"))
    code = ("import fcntl,struct,sys,os;fd=os.open('locked.rrd',os.O_RDWR);"
            "fcntl.fcntl(fd,37,struct.pack('hhqqi4x',fcntl.F_RDLCK,0,0,0,0));print('x',flush=True);sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"x\n"
        result = run(PACK, "-o", "living.tar", "locked.rrd", code=1)
        assert b"somebody is writing it" in result.stderr and not os.path.exists("living.tar")
        run(PACK, "--live", "-o", "living.tar", "locked.rrd")
        holder.stdin.close()
    assert rows("living.tar") == rows("a.rrd")
    run(PACK, "-o", "living.tar", "locked.rrd")


def rebuild(change, suffix="tar"):
    """b.tar with what change(list of [TarInfo, bytes]) does."""
    members = []
    with tarfile.open("b.tar") as archive:
        for info in archive:
            members.append([info, archive.extractfile(info).read()])
    change(members)
    with tarfile.open(f"bad.{suffix}", "w") as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))


def test_wrong():
    def flip(members):
        members[-1][1] = b"otes\nn"

    def longer(members):
        members[-1][1] += b"!"

    def shorter(members):
        members[-1][1] = members[-1][1][:-1]

    def missing(members):
        del members[-1]

    def unknown(members):
        members.append([tarfile.TarInfo("extra.txt"), b"x"])

    def twice(members):
        members.append(members[-1])

    def link(members):
        info = tarfile.TarInfo("notes.txt")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        members[-1] = [info, b""]

    for change, reason in ((flip, "its sum is not the manifest's"), (longer, "longer than"), (shorter, "shorter than"),
                           (missing, "it is missing"), (unknown, "the manifest knows no such member"),
                           (twice, "it is there twice"), (link, "the manifest knows no such member")):
        rebuild(change)
        result = run(PACK, "--verify", "bad.tar", code=3)
        assert reason in result.stderr.decode(), (change.__name__, result.stderr)
        os.mkdir("out")
        result = run(PACK, "--extract", "-C", "out", "bad.tar", code=3)
        assert reason in result.stderr.decode(), (change.__name__, result.stderr)
        left = tree("out")
        good = change in (unknown, twice)
        assert ("notes.txt" in left) == good and "extra.txt" not in left, (change.__name__, sorted(left))
        assert all(data == read(name) for name, data in left.items()), "nothing half or wrong"
        shutil.rmtree("out")


def test_escapes():
    """Names and links that lead outside: the bundle is refused, or the file is not written."""
    for name in ("../evil", "/tmp/evil", "a/../../evil", ".", "a//b", "a/./b", "", "a\nb", "a/"):
        def rename(members, name=name):
            text = json.loads(members[0][1])
            text["members"][-1]["name"] = name
            members[0][1] = json.dumps(text).encode()
            members[-1][0].name = name
        rebuild(rename)
        os.mkdir("out")
        run(PACK, "--extract", "-C", "out", "bad.tar", code=1)
        assert tree("out") == {} and not os.path.exists("evil") and not os.path.exists("/tmp/evil"), name
        shutil.rmtree("out")
    os.makedirs("out/target")
    os.symlink("target", "out/host3")
    os.symlink("elsewhere", "out/notes.txt")
    result = run(PACK, "--extract", "-C", "out", "b.tar", code=1)
    assert os.listdir("out/target") == [] and not os.path.exists("out/elsewhere"), "through a link"
    run(PACK, "--extract", "--force", "-C", "out", "b.tar", code=1)
    assert os.listdir("out/target") == [] and not os.path.exists("out/elsewhere") and read("out/notes.txt") == b"notes\n"
    shutil.rmtree("out")


def test_broken():
    """Cut and flipped bundles: found out or harmless, never a crash, and nothing wrong is unpacked."""
    run(PACK, "-o", "small.tar", "notes.txt", "dir")
    for suffix in SUFFIXES:
        run(PACK, "-o", f"small.{suffix}", "notes.txt", "dir", "a.rrd")
        whole = read(f"small.{suffix}")
        cases = [whole[:random.randrange(len(whole))] for _ in range(12)]
        for _ in range(24):
            data = bytearray(whole)
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            cases.append(bytes(data))
        for data in cases:
            write(f"case.{suffix}", data)
            os.mkdir("out")
            for command in (["--verify"], ["--list"], ["--extract", "-C", "out"]):
                result = subprocess.run([PACK, *command, f"case.{suffix}"], capture_output=True, timeout=60)
                assert result.returncode in (0, 1, 3), (suffix, command, result)
                assert result.returncode == 0 or result.stderr != b"", (suffix, command)
            for name, content in tree("out").items():
                assert content == read(name), (suffix, name)
            shutil.rmtree("out")


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        os.makedirs("dir/sub")
        os.mkdir("host3")
        run(LOG, "a.rrd", "one", "0")
        run(LOG, "host3/b.rrd", "two", "100")
        run(LEFT, "left.rrd")
        write("notes.txt", b"notes\n")
        write("dir/x", b"1")
        write("dir/sub/é.txt", b"2")
        os.symlink("x", "dir/link")
        test_cli()
        test_bundles()
        test_others_read_them()
        test_large()
        test_names_and_kinds()
        test_shared_spools()
        test_living()
        test_wrong()
        test_escapes()
        test_broken()
        os.chdir("/")
    print("rrd-pack: all checks hold")


main()
