#!/usr/bin/env python3
"""Checks the prose of documents, comments and messages.

    scripts/check-words.py [FILE...]

Without files it reads every tracked Markdown, Rust, Python and shell file, and
every C++, CUDA and Solidity file. It fails on a phrase of PHRASES, and on a
link of a Markdown file that leads nowhere in this repository. It counts
sentences of more than 30 words in Markdown files and shows the longest.
"""

import re
import subprocess
import sys
from pathlib import Path

# What to write instead of each.
PHRASES = {
    r"[Ss]o many": "n, or how many",
    r"[Ww]hoever": "name the actor",
    r"[Nn]obody": "name the actor: no peer, no caller",
    r"[Tt]old": "given, reported, distinguished",
    r"h[eo]ld against": "compare with, check against",
    r"(?:is|are) none": "is invalid, does not exist",
    r"[Ii]n vain": "without success",
    r"by (?:his|her|their|its) leave|gives? leave|asks? leave": "permission",
}
PATTERN = re.compile(r"\b(" + "|".join(PHRASES) + r")\b")
SUFFIXES = {".md", ".rs", ".py", ".sh", ".cu", ".cuh", ".cpp", ".hpp", ".sol", ".template"}
LONG = 30
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked():
    names = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    paths = [Path(name) for name in names.stdout.split("\0") if name]
    return [path for path in paths if path.suffix in SUFFIXES and path != Path(sys.argv[0])]


def phrases(path, text):
    # A phrase may be broken by the end of a comment's line.
    joined = re.sub(r"\n\s*(?://[/!]?|#)?\s*", lambda match: " " + "\0" * match.group().count("\n"), text)
    found = []
    for match in PATTERN.finditer(joined):
        line = 1 + joined.count("\0", 0, match.start())
        instead = next(
            words for phrase, words in PHRASES.items()
            if re.fullmatch(phrase, match.group().replace("\0", ""))
        )
        found.append(f"{path}:{line}: expected {instead}; got “{match.group()}”")
    return found


def prose(text):
    """Markdown without code, tables, links' targets and headings."""
    text = re.sub(r"```.*?```", "\n\n", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("|", "#", "["))]
    text = re.sub(r"\]\([^)]*\)", "]", "\n".join(lines))
    return re.sub(r"^\s*(?:[-*]|\d+\.)\s", "\n\n", text, flags=re.MULTILINE)


def sentences(text):
    for paragraph in re.split(r"\n\s*\n", prose(text)):
        for sentence in re.split(r"(?<=[.!?:;*])\s+(?=[A-Z`*“\"(\[])", " ".join(paragraph.split())):
            yield len(sentence.split()), sentence


def anchors(text):
    """The anchors of a Markdown file's headings, as hosts of repositories make them."""
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links(path, text):
    for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        other = (path.parent / name) if name else path
        if not other.exists():
            yield f"{path}: expected a file, got the link {target}"
        elif anchor and other.suffix == ".md":
            if anchor not in anchors(other.read_text(encoding="utf-8")):
                yield f"{path}: expected a heading, got the link {target}"


def main():
    paths = [Path(name) for name in sys.argv[1:]] or tracked()
    wrong, long, count = [], [], 0
    for path in paths:
        text = path.read_text(encoding="utf-8")
        wrong += phrases(path, text)
        if path.suffix == ".md":
            wrong += links(path, text)
            lengths = list(sentences(text))
            count += len(lengths)
            long += [(words, path, sentence) for words, sentence in lengths if words > LONG]
    long.sort(key=lambda each: -each[0])
    for words, path, sentence in long[:5]:
        print(f"{path}: {words} words: {sentence[:100]}…")
    print(f"{len(paths)} files; {len(long)} of {count} sentences of Markdown have more than {LONG} words")
    if wrong:
        sys.exit("\n".join(wrong) + f"\n{len(wrong)} places to rewrite")


if __name__ == "__main__":
    main()
