#!/usr/bin/env python3
"""Run poai on every network of the zoo, and compare with ONNX Runtime.

    python3 scripts/make-onnx-zoo.py OUT
    cargo build --release -p poai-cli
    python3 scripts/measure-onnx-zoo.py OUT --poai target/release/poai [--json FILE]

scripts/make-onnx-zoo.py says how to install what it needs; this script needs
numpy alone. It prints Markdown for docs/benchmarks.md: a table of the sets, the
reasons of refusals, and every network that deserves a look. Each network ends
in one of these ways:

    fault    poai panics, is killed, takes longer than --seconds or prints no JSON
    refused  poai exits with an error
    wrong    poai accepts the network, but its own floats differ from ONNX
             Runtime's, or the output has another number of entries
    silent   the median error is above 5 %, and poai did not warn
    warned   poai warned that the integers are far from the floats
    good     all other networks

The error of a sample is the L2 norm of the difference between poai's output,
as floats, and ONNX Runtime's, divided by the norm of the latter. An output that
is nearly zero counts as a hundredth of the samples' root mean square. Of an even
number of samples, the median is the lower of the middle two. poai reports the
same error against its own floats. If the two errors differ by more
than a thousandth, poai's floats differ from ONNX Runtime's by at least as much.
Files of the set `quantised` round inside, and ONNX Runtime rounds as they say.
poai's floats are the real numbers that their integers stand for, so there the
two may differ by up to a fiftieth.

If a network has several outputs, poai runs the first. Files of several inputs
are passed as one option each, in the order of the inputs.

Exits with 1 if a network is a fault, wrong or silent, and with 2 if there is no zoo.
"""

import argparse
import csv
import json
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

try:
    import numpy as np
except ImportError as error:
    print(f"measure-onnx-zoo: {error}; install numpy", file=sys.stderr)
    sys.exit(2)

# A median error above this is bad. poai warns at the same figure.
MEDIAN_MAX = 0.05
# Floats that sum in another order differ by far less than this.
FLOAT_MAX = 1e-3
# Files that round differ by about as much as one of their integers.
ROUNDED_MAX = 0.02
ENDS = ["good", "warned", "silent", "wrong", "refused", "fault"]


class Failure(Exception):
    """An error that the caller can fix: a path, a program."""


def arrays(folder, stem):
    """The files `stem.npy`, or `stem-0.npy` and so on."""
    single = folder / f"{stem}.npy"
    if single.exists():
        return [single]
    return sorted(folder.glob(f"{stem}-*.npy"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))


def run(program, folder, seconds, more):
    """As `run_once`, of the first output if the network has several."""
    report, end, why = run_once(program, folder, seconds, more)
    several = re.search(r"expected one output, got \d+: (.*?)(?:, .*)?; choose one", why)
    if several and end == "refused":
        return run_once(program, folder, seconds, [*more, "--output", several.group(1)])
    return report, end, why


def run_once(program, folder, seconds, more):
    """The report of poai as an object; or how it ended, and the first line of its error."""
    command = [str(program), "run", "--onnx", str(folder / "model.onnx"), "--json", *more]
    for stem in ("calibration", "input"):
        for path in arrays(folder, stem):
            command += [f"--{stem}", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return None, "fault", f"no result in {seconds} s"
    except OSError as error:
        raise Failure(f"{program}: {error}; name the program with --poai") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        # Signals are negative, and 101 is a panic.
        fault = done.returncode < 0 or done.returncode == 101
        return None, "fault" if fault else "refused", lines[0]
    try:
        return json.loads(done.stdout), "", ""
    except ValueError as error:
        return None, "fault", f"expected JSON, got {error}"


def errors(found, expected):
    """The error of each sample."""
    found, expected = (each.reshape(len(each), -1).astype(np.float64) for each in (found, expected))
    norms = np.linalg.norm(expected, axis=1)
    least = np.sqrt((norms**2).mean()) / 100
    apart = np.linalg.norm(found - expected, axis=1)
    return apart / np.maximum(np.maximum(norms, least), np.finfo(np.float64).tiny)


def nearest(floats, files):
    """The expected output that poai's is compared with: the first of as many entries."""
    wanted = [each for each in map(np.load, files) if each.dtype.kind == "f"]
    return next((each for each in wanted if each.size == len(floats)), None), wanted


def judge(report, folder, classifies, floats_max):
    """The figures of an accepted network."""
    floats = np.array(report["output_floats"], dtype=np.float64).ravel()
    expected, wanted = nearest(floats, arrays(folder, "expected"))
    if expected is None:
        sizes = " or ".join(str(each.size) for each in wanted) or "no float"
        return {"end": "wrong", "why": f"expected {sizes} entries, got {floats.size}"}
    found = floats.reshape(len(expected), -1)
    each = errors(found, expected)
    median = np.sort(each)[(len(each) - 1) // 2]
    figures = {"median": float(median), "worst": float(each.max()), "warnings": report.get("warnings", [])}
    if classifies and expected.ndim == 2 and expected.shape[1] > 1:
        figures["classes"] = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    own = report.get("sample_errors")
    if own is not None and len(own) == len(each):
        figures["floats_apart"] = float(np.abs(each - np.array(own)).max())
    if figures.get("floats_apart", 0) > floats_max:
        figures |= {"end": "wrong", "why": f"the floats differ by {percent(figures['floats_apart'])} or more"}
    elif figures["warnings"]:
        figures |= {"end": "warned", "why": figures["warnings"][0]}
    elif figures["median"] > MEDIAN_MAX:
        figures |= {"end": "silent", "why": f"the median error is {percent(figures['median'])}"}
    else:
        figures["end"] = "good"
    return figures


def measure(program, root, line, seconds, more):
    """One network's figures."""
    folder = root / line["set"] / line["name"]
    began = time.monotonic()
    report, end, why = run(program, folder, seconds, more)
    took = time.monotonic() - began
    if report is None:
        figures = {"end": end, "why": why.replace(f"{folder / 'model.onnx'}: ", "").replace(f"{folder}/", "")}
    else:
        floats_max = ROUNDED_MAX if line["set"] == "quantised" else FLOAT_MAX
        figures = judge(report, folder, "classifier" in line["notes"].split("; "), floats_max)
    named = {field: line[field] for field in ("set", "name", "exporter")}
    return {**named, "seconds": round(took, 3), **figures}


def percent(share):
    return f"{100 * share:.2f} %"


def kind(refusal):
    """A refusal without the names of nodes and values, so that equal reasons count together."""
    refusal = re.sub(r"\bnode \S+: ", "", refusal)
    return re.sub(r"\b(tensor|input|value) \S+?(:| is\b)", r"\1 …\2", refusal)


def middle(values):
    return percent(float(np.median(values))) if values else ""


def table(titles, lines):
    cells = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in cells)


def markdown(results):
    """The tables of all sets."""
    lines = []
    sets = list(dict.fromkeys(each["set"] for each in results))
    for name in [*sets, "all"]:
        of = [each for each in results if name in (each["set"], "all")]
        ends = Counter(each["end"] for each in of)
        medians = [each["median"] for each in of if "median" in each]
        classes = [each["classes"] for each in of if "classes" in each]
        agree = percent(float(np.mean(classes))) if classes else ""
        accepted = len(of) - ends["refused"] - ends["fault"]
        worst = percent(max(medians)) if medians else ""
        lines.append([name, len(of), accepted, *(ends[end] for end in ENDS), middle(medians), worst, agree])
    titles = ["set", "networks", "accepted", *ENDS, "median error", "largest median error", "same class"]
    parts = [table(titles, lines)]
    refused = Counter(kind(each["why"]) for each in results if each["end"] == "refused")
    if refused:
        parts.append(table(["refused", "networks"], [[why, count] for why, count in refused.most_common()]))
    look = [each for each in results if each["end"] in ("fault", "wrong", "silent", "warned")]
    if look:
        rows = []
        for each in look:
            median = percent(each["median"]) if "median" in each else ""
            rows.append([f"{each['set']}/{each['name']}", each["end"], median, each["why"]])
        parts.append(table(["network", "end", "median error", "why"], rows))
    return "\n\n".join(parts)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("zoo", type=Path, metavar="OUT", help="the folder that make-onnx-zoo.py wrote")
    parser.add_argument("--poai", type=Path, required=True, help="the program poai")
    parser.add_argument("--json", type=Path, help="write the figures of every network into this file")
    parser.add_argument("--seconds", type=float, default=120, help="the longest time of a network (120)")
    parser.add_argument("--jobs", type=int, default=1, help="how many networks run at once (1)")
    parser.add_argument("--only", default="", help="only networks whose SET/NAME contains this text")
    parser.add_argument("--option", action="append", default=[], help="a further option, such as --range=min-max")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    index = arguments.zoo / "INDEX.tsv"
    try:
        with open(index, encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise Failure(f"{error}; run scripts/make-onnx-zoo.py") from error
    lines = [line for line in lines if arguments.only in f"{line['set']}/{line['name']}"]
    if not lines:
        raise Failure(f"expected networks in {index}, got none")
    program = arguments.poai.resolve()

    def one(line):
        figures = measure(program, arguments.zoo, line, arguments.seconds, arguments.option)
        print(f"{figures['end']:8} {line['set']}/{line['name']}  {figures.get('why', '')}", file=sys.stderr, flush=True)
        return figures

    with ThreadPoolExecutor(arguments.jobs) as executor:
        results = list(executor.map(one, lines))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(markdown(results))
    return 1 if any(each["end"] in ("fault", "wrong", "silent") for each in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"measure-onnx-zoo: {failure}", file=sys.stderr)
        sys.exit(2)
