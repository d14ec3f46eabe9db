"""Assembles PTX, and disassembles the result."""

import re
import subprocess
import tempfile
from pathlib import Path

from . import packages
from .sources import Wrong, entries

# GPUs to try, oldest first: Pascal, Turing, Ampere (A100, RTX 30), Ada, Hopper,
# Blackwell (B200, RTX 50).
GPUS = [61, 75, 80, 86, 89, 90, 100, 120]

# The oldest GPU that the pinned disassembler knows.
DISASSEMBLED = 75

# The assembler's warnings, and its numbered remarks: that matrix instructions
# run one by one, or that it put waits between them.
ADVICE = re.compile(r"warning|\(C\d+\)")
RELEASE = re.compile(r"release (\d+\.\d+)")
FUNCTION = re.compile(r"Function properties for (\S+)")
MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
SHARED = re.compile(r"(\d+) bytes smem")
USED = re.compile(r"Used (\d+) registers")
SECTION = re.compile(r"\s*\.section\s+\.text\.([^,\s]+)")
OPCODE = re.compile(r"\s*/\*[0-9a-f]+\*/\s+(?:@!?U?PT?\d*\s+)?([A-Z][A-Z0-9_.x]*)")


class Kernel:
    """One kernel on one GPU."""

    def __init__(self):
        self.registers = 0
        self.stack = 0
        self.spilled = 0
        self.shared = 0
        # All opcodes with their parts, or None if no disassembler reads the
        # code.
        self.opcodes = None

    def has(self, instruction):
        """Whether an opcode begins with the given parts."""
        return any(f"{opcode}.".startswith(f"{instruction}.") for opcode in self.opcodes)


class Tools:
    def __init__(self, ptxas=None):
        """Uses `ptxas` instead of the pinned assembler, if it is given."""
        if ptxas is None:
            ptxas = packages.path("nvidia-cuda-nvcc-cu12", "nvidia/cuda_nvcc/bin/ptxas")
        self._ptxas = ptxas
        self._nvdisasm = packages.path("nvidia-cuda-nvdisasm", "nvidia/cu13/bin/nvdisasm")

    def assembler(self):
        """The assembler's release, like 12.9."""
        return RELEASE.search(run(self._ptxas, "--version"))[1]

    def knows(self, gpu):
        """Whether the assembler supports a GPU."""
        return f"'sm_{gpu}'" in run(self._ptxas, "--help")

    def assemble(self, path, gpu, only_this):
        """The kernels of a PTX file on a GPU, by name, and the assembler's
        warnings."""
        target = f"sm_{gpu}{'a' if only_this else ''}"
        with tempfile.TemporaryDirectory() as folder:
            binary = Path(folder) / "kernels.cubin"
            said = run(self._ptxas, "-v", f"-arch={target}", path, "-o", binary)
            advice = [line for line in said.splitlines() if ADVICE.search(line)]
            kernels = resources(path, said)
            if gpu >= DISASSEMBLED:
                listing = run(self._nvdisasm, "--print-code", binary)
                for name, opcodes in instructions(listing).items():
                    kernels[name].opcodes = opcodes
                unread = [name for name, kernel in kernels.items() if not kernel.opcodes]
                if unread:
                    raise Wrong(f"{path.name} on {target}: expected code of every kernel, got none of {', '.join(unread)}")
        return kernels, [f"{path.name} on {target}: {line}" for line in advice]


def run(tool, *arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise Wrong(f"{tool.name} {' '.join(map(str, arguments))}\n{done.stderr or done.stdout}")
    # The assembler reports on one stream and the disassembler on the other.
    return done.stdout + (done.stderr if tool.name == "ptxas" else "")


def resources(path, said):
    """The kernels' resources, from the assembler's report. The needs of a
    function that was not inlined are added to every kernel: any may call it."""
    kernels = {name: Kernel() for name in entries(path.read_text())}
    current = None
    seen = set()
    for line in said.splitlines():
        if found := FUNCTION.search(line):
            current = found[1]
        elif found := MEMORY.search(line):
            stack, stores, loads = map(int, found.groups())
            for name, kernel in kernels.items():
                if current == name or current not in kernels:
                    kernel.stack += stack
                    kernel.spilled += stores + loads
        elif found := USED.search(line):
            kernels[current].registers = int(found[1])
            kernels[current].shared = int(shared[1]) if (shared := SHARED.search(line)) else 0
            seen.add(current)
    if seen != set(kernels):
        raise Wrong(f"{path.name}: expected a report of all kernels, got {sorted(seen)}:\n{said}")
    return kernels


def instructions(listing):
    """The opcodes in a listing, by kernel."""
    found = {}
    current = None
    for line in listing.splitlines():
        if section := SECTION.match(line):
            current = found.setdefault(section[1], set())
        elif current is not None and (opcode := OPCODE.match(line)):
            current.add(opcode[1].rstrip("."))
    return found
