"""The kernels' sources, and the requirements in their comments.

A source is a file poai-cuda/kernels/NAME.cu. Lines of it that begin with
`// poai:` are for these scripts:

    // poai: arch compute_61 compute_80
        The architectures it is compiled for, each to a PTX of its own. Required.
    // poai: sass IMMA
    // poai: sass compute_80 multiply: IMMA LDSM
        Instructions that the machine code of every entry must have. With an
        architecture, only code compiled for it; with an entry's name, only
        that entry.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "poai-cuda/kernels"
PTX = ROOT / "poai-cuda/ptx"

ARCHITECTURE = re.compile(r"compute_(\d+)(\d)(a?)")
ENTRY = re.compile(r"^\.visible \.entry (\w+)\(", re.MULTILINE)


class Wrong(Exception):
    """A source, a PTX or a table fails a check."""


class Missing(Exception):
    """A tool is not installed."""


class Source:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        self.text = path.read_text()
        self.architectures = []
        # (architecture or None, entry or None, instructions)
        self.needed = []
        for line in self.text.splitlines():
            if line.startswith("// poai:"):
                self._directive(line.removeprefix("// poai:").split(), line)
        if not self.architectures:
            raise Wrong(f"{path.name}: expected a line like `// poai: arch compute_61`, got none")

    def _directive(self, words, line):
        match words:
            case ["arch", *architectures] if architectures:
                bad = [word for word in architectures if not ARCHITECTURE.fullmatch(word)]
                self.architectures += architectures
            case ["sass", *words] if words:
                architecture = words.pop(0) if ARCHITECTURE.fullmatch(words[0]) else None
                entry = words.pop(0)[:-1] if words and words[0].endswith(":") else None
                bad = [word for word in words if not re.fullmatch(r"[A-Z0-9.]+", word)]
                self.needed.append((architecture, entry, words))
                if not words or (architecture and architecture not in self.architectures):
                    bad.append(architecture or "nothing")
            case _:
                bad = True
        if bad or len(set(self.architectures)) != len(self.architectures):
            raise Wrong(f"{self.path.name}: expected a known `// poai:` line, got {line}")

    def ptx(self, architecture):
        return PTX / f"{self.name}.{architecture}.ptx"

    def instructions(self, architecture, entry):
        """The instructions that an entry's machine code must have."""
        return [
            instruction
            for only_architecture, only_entry, instructions in self.needed
            if only_architecture in (None, architecture) and only_entry in (None, entry)
            for instruction in instructions
        ]


def sources():
    """All sources, by name."""
    found = [Source(path) for path in sorted(KERNELS.glob("*.cu"))]
    if not found:
        raise Wrong(f"expected sources in {KERNELS.relative_to(ROOT)}, got none")
    return found


def entries(ptx):
    """The names of the kernels in a PTX."""
    return ENTRY.findall(ptx)
