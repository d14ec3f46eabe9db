#!/usr/bin/env python3
"""Runs the table of cases through the C interface by ctypes: verify.py LIBRARY CASES FOLDER..."""

import ctypes
import json
import sys
from pathlib import Path


class Verified(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("m", "n", "k", "tile_row", "tile_column")] + [
        (name, ctypes.c_ubyte * 32)
        for name in ("root_a", "root_b", "ticket", "proof_hash", "rules_digest")
    ]


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        asked = [ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        self.c.poai_verify.argtypes = asked + [ctypes.POINTER(Verified)]
        self.c.poai_preliminary_verify.argtypes = asked
        self.c.poai_error_message.restype = self.c.poai_version.restype = ctypes.c_char_p
        # As a pointer: a c_char_p would be copied, and never freed.
        text = ctypes.POINTER(ctypes.c_char)
        self.c.poai_decode_json.argtypes = [*asked[:1], *asked[3:], ctypes.POINTER(text)]
        self.c.poai_string_free.argtypes = [text]
        self.c.poai_string_free.restype = None
        self.text = text

    def verify(self, rules, challenge, difficulty, proof):
        """The code, and what the proof is of where it is 0."""
        verified = Verified()
        code = self.c.poai_verify(rules, challenge, difficulty, proof, len(proof), verified)
        return code, verified if code == 0 else None

    def decode(self, rules, proof):
        text = self.text()
        code = self.c.poai_decode_json(rules, proof, len(proof), text)
        if code != 0:
            raise ValueError(self.message(code))
        try:
            return json.loads(ctypes.cast(text, ctypes.c_char_p).value)
        finally:
            self.c.poai_string_free(text)

    def message(self, code):
        return self.c.poai_error_message(code).decode()


def changed(proof, how):
    kind, *numbers = how.split(":")
    numbers = [int(number) for number in numbers]
    if kind == "keep":
        return proof[: numbers[0]]
    if kind == "add":
        return proof + bytes(numbers[0])
    if kind == "flip":
        at, bit = numbers
        return proof[:at] + bytes([proof[at] ^ 1 << bit]) + proof[at + 1 :]
    return proof


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    library = Library(sys.argv[1])
    folders = [Path(folder) for folder in sys.argv[3:]]
    cases = wrong = 0
    for line in Path(sys.argv[2]).read_text().splitlines():
        if line.startswith("#"):
            continue
        name, expected, rules, challenge, difficulty, file, how = line.split(" ")
        path = next(folder / file for folder in folders if (folder / file).exists())
        proof = changed(path.read_bytes(), how)
        asked = (int(rules), bytes.fromhex(challenge), bytes.fromhex(difficulty), proof)
        code, verified = library.verify(*asked)
        cheap = library.c.poai_preliminary_verify(*asked, len(proof))
        good = code == int(expected) and cheap in (0, code)
        if verified is not None:
            decoded = library.decode(int(rules), proof)
            good &= decoded["statement"]["shape"]["k"] == verified.k == 1024
        print(f"{name:24} {code:2} {library.message(code)}")
        cases += 1
        wrong += not good
    print(f"{cases - wrong} passed, {wrong} failed")
    sys.exit(wrong != 0 or cases == 0)


if __name__ == "__main__":
    main()
