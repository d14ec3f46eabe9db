"""NVIDIA's run-time compiler, from CUDA C++ to PTX."""

import ctypes
import re

from . import packages
from .sources import KERNELS, Wrong, entries

BANNER = """\
// Made from poai-cuda/kernels/{file} by scripts/build-kernels.py. Do not edit.

"""

# `--fmad=false` and no fast mathematics: the kernels use no floats, and if one
# ever does, it must not depend on the compiler. Functions say where they run:
# `-default-device` would put the toolkit's host constants on the device.
OPTIONS = ["--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false"]

# Variables of the toolkit's header nv/target, which NVRTC 12.0 puts into every
# PTX. Nothing reads them.
UNUSED = re.compile(r"^\.global .*_ZN\w*2nv6target\w+(\[\d+\])?( = .*)?;\n", re.MULTILINE)


class Compiler:
    def __init__(self):
        self._library = ctypes.CDLL(
            str(packages.path("nvidia-cuda-nvrtc-cu12", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"))
        )
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        headers = packages.path("nvidia-cuda-runtime-cu12", "nvidia/cuda_runtime/include")
        self._include = [f"--include-path={KERNELS}", f"--include-path={headers}"]

    def ptx(self, source, architecture):
        """The PTX of a source for an architecture, the same on every machine."""
        program = ctypes.c_void_p()
        # Only the file's name: a folder would appear in the PTX, in the names
        # of symbols that are local to the file.
        self._call(
            "CreateProgram", ctypes.byref(program), source.text.encode(), source.path.name.encode(),
            0, None, None,
        )
        try:
            options = [f"--gpu-architecture={architecture}", "--pre-include=prelude.h"]
            options = [word.encode() for word in options + OPTIONS + self._include]
            options = (ctypes.c_char_p * len(options))(*options)
            failed = self._library.nvrtcCompileProgram(program, len(options), options)
            log = self._text("ProgramLog", program).strip()
            # Any message of NVRTC about a kernel is a failure.
            if failed or log:
                raise Wrong(f"{source.path.name} for {architecture}:\n{log}")
            ptx = self._text("PTX", program)
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))
        return self._tidy(source, architecture, ptx)

    def _tidy(self, source, architecture, ptx):
        # Names and builds of tools precede the version.
        ptx = UNUSED.sub("", ptx[ptx.index(".version") :])
        what = f"{source.path.name} for {architecture}"
        missing = re.findall(r"^\.extern \.func.*?(\w+)$", ptx, re.MULTILINE)
        if missing:
            raise Wrong(f"{what}: expected only defined functions, got calls of {', '.join(missing)}")
        names = entries(ptx)
        if not names:
            raise Wrong(f"{what}: expected a kernel, got none")
        mangled = [name for name in names if name.startswith("_Z")]
        if mangled:
            raise Wrong(f"{what}: expected extern \"C\" kernels, got {', '.join(mangled)}")
        return BANNER.format(file=source.path.name) + ptx.strip() + "\n"

    def _text(self, what, program):
        size = ctypes.c_size_t()
        self._call(f"Get{what}Size", program, ctypes.byref(size))
        text = ctypes.create_string_buffer(size.value)
        self._call(f"Get{what}", program, text)
        return text.value.decode()

    def _call(self, function, *arguments):
        code = getattr(self._library, f"nvrtc{function}")(*arguments)
        if code:
            raise Wrong(f"nvrtc{function}: {self._library.nvrtcGetErrorString(code).decode()}")
