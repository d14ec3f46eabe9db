"""Training runs: claims of iterations, their chain, segments, and which
iterations and tiles an audit of a segment opens (§19)."""

import struct

from blake3 import blake3

from .audit import Stream, drawn_tiles
from .program import digest

VERSION = struct.pack("<I", 1)


def dataset_digest(rows, roots):
    return digest("train dataset", struct.pack("<Q", rows) + b"".join(roots))


def state_digest(roots):
    return digest("train state", b"".join(roots))


def seed_of(job, dataset, program_id, first, beacon):
    return digest("train seed", job + dataset + program_id + first + beacon)


def rules_digest(rules, iteration_samples):
    return digest("train rules", rules.digest() + struct.pack("<I", iteration_samples))


def chain_digest(leaves):
    """The root of a tree of BLAKE3's shape, made level by level: each level joins
    neighbours, and one that is left over moves up."""
    while len(leaves) > 1:
        pairs = [leaves[at : at + 2] for at in range(0, len(leaves), 2)]
        leaves = [digest("train node", b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return leaves[0]


def claim(t, before, trace, after):
    return struct.pack("<Q", t) + before + trace + after


def column(entries):
    """The commitment of a column of i32 entries."""
    data = struct.pack(f"<{len(entries)}i", *entries)
    return blake3(data + bytes(-len(entries) % 32 * 4)).digest()


class Run:
    """What a job fixes, and the claims of all iterations."""

    def __init__(self, program_id, job, dataset, seed, batch, sequence, length, rules, states, traces):
        self.fixed = (
            program_id + job + dataset + seed
            + struct.pack("<IIQ", batch, sequence, len(traces)) + states[0]
        )
        self.parameters = VERSION + self.fixed + struct.pack("<I", length) + rules
        assert len(self.parameters) == 216
        self.length, self.states = length, states
        links = zip(states[:-1], traces, states[1:], strict=True)
        self.claims = [claim(t, *link) for t, link in enumerate(links)]
        self.leaves = [digest("train iteration", each) for each in self.claims]

    def segments(self):
        """The posted bytes of every segment, and its digest."""
        previous, segments = bytes(32), []
        for j, start in enumerate(range(0, len(self.claims), self.length)):
            leaves = self.leaves[start : start + self.length]
            fields = (
                previous + struct.pack("<I", j) + self.states[start]
                + chain_digest(leaves) + self.states[start + len(leaves)]
            )
            previous = digest("train segment", self.parameters + fields)
            segments.append((VERSION + fields, previous, len(leaves)))
        return segments

    def digest(self):
        return digest("train run", self.fixed + self.states[-1] + chain_digest(self.leaves))

    def receipt(self, macs, prover):
        """The receipt's bytes, given the MACs of an iteration."""
        program_id, job, dataset = (self.parameters[at : at + 32] for at in (4, 36, 68))
        total = (macs * len(self.claims)).to_bytes(16, "little")
        return (VERSION + self.digest() + dataset + b"\x01" + self.states[0] + self.states[-1]
                + total + job + prover + self.parameters[-32:])


def audited(segment, count, beacon, samples, rules, values, outputs):
    """The places and tiles that an audit of a segment opens."""
    stream = Stream(segment + beacon, "train audit")
    draws = []
    for _ in range(samples):
        place = stream.number() % count
        draws.append((place, drawn_tiles(rules, values, outputs, stream)))
    return draws
