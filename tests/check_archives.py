#!/usr/bin/env python3
"""The tools on compressed recordings and archives as other programs make them: the rows are those of the files."""
import os
import subprocess
import sys
import tempfile

BIN = os.path.abspath(sys.argv[1])
DUMP, MERGE, CHECK, LOG, LEFT = (os.path.join(BIN, name) for name in ("rrd-dump", "rrd-merge", "rrd-check", "log_cli", "log_left"))


def run(*command, stdin=None, code=0):
    result = subprocess.run([str(c) for c in command], input=stdin, capture_output=True, timeout=120)
    assert result.returncode == code, f"{command}: exit {result.returncode}, not {code}: {result.stderr.decode()}"
    return result


def shell(command):
    subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL, timeout=120)


def rows(*arguments, stdin=None):
    result = run(DUMP, "--format=ndjson", *arguments, stdin=stdin)
    assert result.stderr == b"", result.stderr
    return result.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def test_compressed():
    expected = rows("a.rrd")
    assert expected.count(b"\n") > 100
    for suffix, command in {"gz": "gzip -c", "bz2": "bzip2 -c", "xz": "xz -c", "lzma": "xz --format=lzma -c",
                            "zst": "zstd -qc", "lz4": "lz4 -qc"}.items():
        shell(f"{command} a.rrd > a.rrd.{suffix}")
        assert rows(f"a.rrd.{suffix}") == expected, suffix
        assert rows("-", stdin=read(f"a.rrd.{suffix}")) == expected, suffix
    shell("cat a.rrd.gz a.rrd.gz > twice.gz")  # as if it were one
    assert rows("twice.gz") == expected
    assert rows("-", stdin=read("a.rrd")) == expected
    shell(f"bash -c \"set -o pipefail; '{DUMP}' --format=ndjson <(xz -c a.rrd) > piped\"")
    assert read("piped") == expected


def test_archives():
    names = "a.rrd host3 left.rrd left.rrd.spool notes.txt"
    expected = rows("a.rrd", "host3/b.rrd", "left.rrd")
    inner = rows("host3/b.rrd")
    run(MERGE, "-o", "files.rrd", "a.rrd", "host3/b.rrd", "left.rrd")
    archives = {"tar": f"tar cf x.tar {names}", "tgz": f"tar czf x.tgz {names}", "txz": f"tar cJf x.txz {names}",
                "tar.zst": f"bsdtar --zstd -cf x.tar.zst {names}", "zip": f"zip -qr x.zip {names}",
                "7z": f"7z a -bd x.7z {names}", "cpio": f"find {names} | cpio -o -H newc --quiet > x.cpio",
                "odc": f"bsdtar --format=odc -cf x.odc {names}"}
    for suffix, command in archives.items():
        shell(command)
        name = f"x.{suffix}"
        assert rows(name) == expected, suffix
        assert rows("-", stdin=read(name)) == expected, suffix
        assert rows(f"{name}:host3/*") == inner, suffix
        assert rows(f"{name}:**/b.rrd") == inner, suffix
        assert rows("-:host3/*", stdin=read(name)) == inner, suffix
        assert rows("-:**/b.rrd@+1h", stdin=read(name)) == rows("host3/b.rrd@+1h"), suffix
        run(MERGE, "-o", "archive.rrd", name)
        assert read("archive.rrd") == read("files.rrd"), suffix
        result = run(DUMP, f"{name}:nothing", code=1)
        assert b"it holds" in result.stderr and b"host3/b.rrd" in result.stderr, result.stderr
    assert rows("-@+1h", stdin=read("a.rrd")) == rows("a.rrd@+1h") != rows("a.rrd")
    assert b"no recording in the archive matches" in run(DUMP, "-:nothing", stdin=read("x.zip"), code=1).stderr
    shell("gzip -k x.zip x.7z")  # what is read from its end, compressed once more
    assert rows("x.zip.gz") == expected and rows("-", stdin=read("x.7z.gz")) == expected
    assert b"30 rows" in run(CHECK, "x.zip").stdout
    assert rows("--ignore-spool", "x.tar") != expected
    os.environ["TMPDIR"] = os.path.join(os.getcwd(), "scratch")
    os.mkdir("scratch")
    assert rows("x.tar.zst") == expected
    assert os.listdir("scratch") == [], "temporary files have no names"
    del os.environ["TMPDIR"]


def test_encrypted():
    shell("zip -qP secret e.zip a.rrd && 7z a -bd -psecret e.7z a.rrd && 7z a -bd -psecret -mhe=on h.7z a.rrd")
    for name in ("e.zip", "e.7z", "h.7z"):
        assert b"encrypted" in run(DUMP, name, code=1).stderr, name
    shell("cp e.zip mixed.zip && zip -q mixed.zip host3/b.rrd")
    result = run(DUMP, "--format=ndjson", "mixed.zip", code=3)
    assert result.stdout == rows("host3/b.rrd") and b"mixed.zip:a.rrd:0+0 it is encrypted" in result.stderr, result.stderr


def test_damaged():
    """Members before the damage are read, and the rest is told as a loss."""
    whole = read("x.tar")
    at = whole.rindex(b"left.rrd\0")  # the header of a later member
    with open("cut.tar", "wb") as file:
        file.write(whole[:at + 200])
    result = run(DUMP, "--format=ndjson", "cut.tar", code=3)
    assert result.stdout == rows("a.rrd", "host3/b.rrd"), result.stderr
    assert result.stderr.startswith(b"cut.tar:"), result.stderr
    with open("many.rrd", "wb") as file:
        for i in range(20):
            run(LOG, "one.rrd", f"run{i}", "0")
            file.write(read("one.rrd"))
            os.unlink("one.rrd")
    shell("gzip -c many.rrd > many.rrd.gz")
    with open("cut.rrd.gz", "wb") as file:
        file.write(read("many.rrd.gz")[:-5000])
    result = run(DUMP, "--format=ndjson", "cut.rrd.gz", code=3)
    assert 0 < result.stdout.count(b"\n") < rows("many.rrd").count(b"\n")
    assert b"cut.rrd.gz:" in result.stderr and b"truncated" in result.stderr, result.stderr
    with open("cut.rrd.gz", "wb") as file:
        file.write(read("a.rrd.gz")[:-5000])
    assert b"truncated" in run(DUMP, "cut.rrd.gz", code=1).stderr


def test_names():
    """Names that are not ASCII, and those that lead outside."""
    os.mkdir("zone")
    shell("cp a.rrd 'zone/é ü.rrd' && zip -qr names.zip zone && tar cf names.tar zone && LC_ALL=C.UTF-8 bsdtar -cf names.7z --format=7zip zone")
    for name in ("names.zip", "names.tar", "names.7z"):
        assert rows(name) == rows("a.rrd"), name
        assert rows(f"{name}:zone/é*") == rows("a.rrd"), name
    shell("cd zone && tar cPf ../evil.tar ../host3/b.rrd && ln -s /etc/passwd link.rrd && tar rf ../evil.tar link.rrd")
    assert rows("evil.tar") == rows("host3/b.rrd")


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        os.mkdir("host3")
        run(LOG, "a.rrd", "one", "0")
        run(LOG, "host3/b.rrd", "two", "100")
        run(LEFT, "left.rrd")
        with open("notes.txt", "w") as file:
            file.write("notes\n")
        test_compressed()
        test_archives()
        test_encrypted()
        test_damaged()
        test_names()
        os.chdir("/")
    print("archives: all checks hold")


main()
