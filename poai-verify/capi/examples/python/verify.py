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


def asked(rules, challenge, difficulty, proof):
    """Checks the arguments, and returns them as C takes them.

    C cannot see how long bytes are, and ctypes cuts numbers to 32 bits.
    """
    for name, value, kind in [
        ("rules", rules, int),
        ("challenge", challenge, bytes),
        ("difficulty", difficulty, int),
        ("proof", proof, bytes),
    ]:
        if type(value) is not kind:
            raise TypeError(f"{name} has to be {kind.__name__}, not {type(value).__name__}")
    if not 0 <= rules < 2**32:
        raise ValueError(f"rules has to be within 0 and 2^32-1, not {rules}")
    if len(challenge) != 32:
        raise ValueError(f"challenge has to be 32 bytes, not {len(challenge)}")
    # Zero is passed on, because C has a code for it.
    if not 0 <= difficulty < 2**128:
        raise ValueError(f"difficulty has to be within 0 and 2^128-1, not {difficulty}")
    return rules, challenge, difficulty.to_bytes(16, "big"), proof, len(proof)


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        question = [ctypes.c_uint32, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        self.c.poai_verify.argtypes = question + [ctypes.POINTER(Verified)]
        self.c.poai_preliminary_verify.argtypes = question
        self.c.poai_error_message.restype = self.c.poai_version.restype = ctypes.c_char_p
        # As a pointer: ctypes would copy a c_char_p, and the text would never be freed.
        text = ctypes.POINTER(ctypes.c_char)
        self.c.poai_decode_json.argtypes = [*question[:1], *question[3:], ctypes.POINTER(text)]
        self.c.poai_string_free.argtypes = [text]
        self.c.poai_string_free.restype = None
        self.text = text

    def verify(self, rules, challenge, difficulty, proof):
        """Returns the code and, if it is 0, the content of the proof. The difficulty is an int, in MACs."""
        verified = Verified()
        code = self.c.poai_verify(*asked(rules, challenge, difficulty, proof), verified)
        return code, verified if code == 0 else None

    def preliminary_verify(self, rules, challenge, difficulty, proof):
        """Makes only the cheap checks, and returns the code."""
        return self.c.poai_preliminary_verify(*asked(rules, challenge, difficulty, proof))

    def decode(self, rules, proof):
        """Returns the proof's parts, unverified."""
        rules, _, _, proof, length = asked(rules, bytes(32), 0, proof)
        text = self.text()
        code = self.c.poai_decode_json(rules, proof, length, text)
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


def refusals(library):
    """Counts the invalid arguments that were not refused by name before C was called."""
    good = {"rules": 0, "challenge": bytes(32), "difficulty": 1 << 24, "proof": b""}
    missed = 0
    for name, value, error in [
        ("rules", 2**32, ValueError),
        ("rules", "0", TypeError),
        ("challenge", bytes(31), ValueError),
        ("challenge", bytes(64), ValueError),
        ("challenge", b"", ValueError),
        ("challenge", None, TypeError),
        ("challenge", "0b" * 32, TypeError),
        ("difficulty", -1, ValueError),
        ("difficulty", 2**128, ValueError),
        ("difficulty", bytes(16), TypeError),
        ("difficulty", 1.5, TypeError),
        ("difficulty", None, TypeError),
        ("proof", None, TypeError),
        ("proof", "proof", TypeError),
    ]:
        for check in (library.verify, library.preliminary_verify):
            try:
                check(**{**good, name: value})
                said = "nothing"
            except (TypeError, ValueError) as caught:
                said = f"{type(caught).__name__}: {caught}"
            if not said.startswith(f"{error.__name__}: {name} has to be "):
                print(f"{check.__name__} with {name}={value!r}: {said}")
                missed += 1
    return missed


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
        question = (int(rules), bytes.fromhex(challenge), int(difficulty, 16), proof)
        code, verified = library.verify(*question)
        cheap = library.preliminary_verify(*question)
        good = code == int(expected) and cheap in (0, code)
        if verified is not None:
            decoded = library.decode(int(rules), proof)
            good &= decoded["statement"]["shape"]["k"] == verified.k == 1024
        print(f"{name:24} {code:2} {library.message(code)}")
        cases += 1
        wrong += not good
    print(f"{cases - wrong} passed, {wrong} failed")
    missed = refusals(library)
    print("invalid arguments are refused" if missed == 0 else f"{missed} invalid arguments were not refused")
    sys.exit(wrong + missed != 0 or cases == 0)


if __name__ == "__main__":
    main()
