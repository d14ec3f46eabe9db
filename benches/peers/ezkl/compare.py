#!/usr/bin/env python3
"""Proves the same statements with EZKL and with poai, in turns.

run.sh makes the environment and calls this. Each proof runs in its own process,
which reads its keys from files, so setup adds neither time nor memory. The
memory of both sides is VmHWM of that process. EZKL's circuits have
decomp_base 128 and decomp_legs 4.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STATEMENTS = {
    "mlp": "MLP 64-32-10, fixed weights",
    "cnn": "strided CNN on 28×28 (5×5×8, 5×5×16, dense 10), fixed weights",
    "product": "private 64×64 by 64×64 product",
}
# The public parts of each statement. EZKL's input is private where ours is hashed,
# because EZKL's own hash would cost it more.
EZKL_WEIGHTS = {"mlp": "fixed", "cnn": "fixed", "product": "private"}
OURS_VISIBILITY = {
    "mlp": "input=hashed,output=public,weights=fixed",
    "cnn": "input=hashed,output=public,weights=fixed",
    "product": "input=hashed,output=hashed,weights=committed",
}
# Fractional bits. The product is of integers.
EZKL_SCALE = {"mlp": 7, "cnn": 7, "product": 0}
SAMPLES = 64
# A higher load means that other programs are running.
QUIET = 0.5
VERIFIED = 5
SEED = 1


def peak_memory():
    """The peak resident memory of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise RuntimeError("the system has no VmHWM")


# --- the networks ---------------------------------------------------------


def network(name):
    """The nodes, the weights and the input's shape of a statement."""
    import numpy as np
    from onnx import helper

    rng = np.random.default_rng(SEED)

    def weights(*shape):
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)

    def bias(size):
        return (rng.standard_normal(size) / 10).astype(np.float32)

    node = helper.make_node
    if name == "mlp":
        held = {"w0": weights(32, 64), "b0": bias(32), "w1": weights(10, 32), "b1": bias(10)}
        nodes = [
            node("Gemm", ["x", "w0", "b0"], ["h"], "first", transB=1),
            node("Relu", ["h"], ["r"], "relu"),
            node("Gemm", ["r", "w1", "b1"], ["y"], "second", transB=1),
        ]
        return nodes, held, [1, 64], [1, 10]
    if name == "cnn":
        held = {
            "w0": weights(8, 1, 5, 5), "b0": bias(8),
            "w1": weights(16, 8, 5, 5), "b1": bias(16),
            "w2": weights(10, 256), "b2": bias(10),
        }  # fmt: skip
        strided = {"kernel_shape": [5, 5], "strides": [2, 2], "pads": [0, 0, 0, 0]}
        nodes = [
            node("Conv", ["x", "w0", "b0"], ["c0"], "conv0", **strided),
            node("Relu", ["c0"], ["r0"], "relu0"),
            node("Conv", ["r0", "w1", "b1"], ["c1"], "conv1", **strided),
            node("Relu", ["c1"], ["r1"], "relu1"),
            node("Flatten", ["r1"], ["f"], "flatten"),
            node("Gemm", ["f", "w2", "b2"], ["y"], "dense", transB=1),
        ]
        return nodes, held, [1, 1, 28, 28], [1, 10]
    held = {"w": rng.integers(-63, 64, (64, 64)).astype(np.float32)}
    return [node("MatMul", ["x", "w"], ["y"], "product")], held, [64, 64], [64, 64]


def make(name, folder):
    """Writes network.onnx, samples.csv (ours) and input.json (EZKL's)."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, held, shape, output = network(name)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(array, key) for key, array in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, folder / "network.onnx")
    rng = np.random.default_rng(SEED + 1)
    if name == "product":
        entries = rng.integers(-63, 64, shape).astype(np.float32).reshape(1, -1)
    else:
        entries = rng.random((SAMPLES, int(np.prod(shape))), dtype=np.float32)
        lines = [",".join(f"{entry:.6f}" for entry in sample) for sample in entries]
        (folder / "samples.csv").write_text("\n".join(lines) + "\n")
    first = [[float(entry) for entry in entries[0]]]
    (folder / "input.json").write_text(json.dumps({"input_data": first}))


# --- EZKL, each command in its own process ---------------------------------


def ezkl_setup(name, folder):
    import ezkl

    path = lambda file: str(folder / file)
    arguments = ezkl.PyRunArgs()
    arguments.decomp_base = 128
    arguments.decomp_legs = 4
    arguments.input_scale = arguments.param_scale = EZKL_SCALE[name]
    arguments.input_visibility = "private"
    arguments.param_visibility = EZKL_WEIGHTS[name]
    arguments.output_visibility = "public"
    start = time.perf_counter()
    ezkl.gen_settings(path("network.onnx"), path("settings.json"), py_run_args=arguments)
    ezkl.calibrate_settings(
        path("input.json"), path("network.onnx"), path("settings.json"), "resources",
        scales=[EZKL_SCALE[name]],
    )  # fmt: skip
    settings = json.loads((folder / "settings.json").read_text())
    found = settings["run_args"]
    if (found["decomp_base"], found["decomp_legs"]) != (128, 4):
        raise RuntimeError("the calibration changed the decomposition")
    ezkl.compile_circuit(path("network.onnx"), path("network.ezkl"), path("settings.json"))
    ezkl.gen_srs(path("srs"), found["logrows"])
    ezkl.setup(path("network.ezkl"), path("vk"), path("pk"), path("srs"))
    ezkl.gen_witness(path("input.json"), path("network.ezkl"), path("witness.json"))
    return {"setup_seconds": time.perf_counter() - start, "logrows": found["logrows"]}


def ezkl_prove(_name, folder):
    import ezkl

    path = lambda file: str(folder / file)
    before = peak_memory()
    start = time.perf_counter()
    ezkl.prove(
        path("witness.json"), path("network.ezkl"), path("pk"), path("proof.json"), path("srs")
    )
    prove_seconds = time.perf_counter() - start
    peak = peak_memory()
    seconds = []
    for _ in range(VERIFIED):
        start = time.perf_counter()
        if not ezkl.verify(path("proof.json"), path("settings.json"), path("vk"), path("srs")):
            raise RuntimeError("EZKL refuses its own proof")
        seconds.append(time.perf_counter() - start)
    proof = json.loads((folder / "proof.json").read_text())["proof"]
    # The proof is a list of bytes, or a string of hexadecimal digits.
    length = len(proof) if isinstance(proof, list) else len(proof.removeprefix("0x")) // 2
    return {
        "prove_seconds": prove_seconds,
        "verify_seconds": statistics.median(seconds),
        "proof_bytes": length,
        "peak_memory_bytes": peak,
        "memory_before_bytes": before,
    }


WORKERS = {"make": make, "setup": ezkl_setup, "prove": ezkl_prove}


def worker(command, name, folder):
    """Runs a function above as `--worker` and returns its last line, decoded."""
    arguments = [sys.executable, "-B", __file__, "--worker", command, name, str(folder)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


# --- ours -----------------------------------------------------------------


def ours(name, folder, binary):
    """One proof; the first call makes the key."""
    arguments = [binary, "prove", "--json", "--no-timing", "--keys", str(folder / "keys")]
    arguments += ["--visibility", OURS_VISIBILITY[name]]
    if name == "product":
        arguments += ["--model", "product"]
    else:
        arguments += ["--onnx", str(folder / "network.onnx")]
        arguments += ["--samples", str(folder / "samples.csv")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ours, {name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


# --- the table ------------------------------------------------------------


def measure(name, folder, binary, runs):
    folder.mkdir()
    made = None
    try:
        worker("make", name, folder)
        made = worker("setup", name, folder)
    except RuntimeError as error:
        print(f"SKIPPED: {name} with EZKL: {error}")
        if not (folder / "input.json").exists():
            return None
    first = ours(name, folder, binary)
    peer, own = [], []
    for _ in range(runs):
        if made is not None:
            try:
                peer.append(worker("prove", name, folder))
            except RuntimeError as error:
                print(f"SKIPPED: {name} with EZKL: {error}")
                made = None
        own.append(ours(name, folder, binary))
    if any(run["peak_memory_has_setup"] for run in own):
        sys.exit(f"ours, {name}: expected a key kept from the first proof, got a new setup")
    fields = ["prove_seconds", "verify_seconds", "proof_bytes", "peak_memory_bytes"]
    of = lambda found: {key: statistics.median(run[key] for run in found) for key in fields}
    result = {"name": name, "ours": of(own), "constraints": first["constraints"]}
    result["ours"]["setup_seconds"] = first["setup_seconds"]
    if peer:
        result["ezkl"] = of(peer) | made
        result["ezkl"]["memory_before_bytes"] = peer[0]["memory_before_bytes"]
    return result


def table(results):
    head = [
        "statement", "EZKL proves", "ours", "EZKL verifies", "ours", "EZKL's proof", "ours",
        "EZKL's peak memory", "ours", "times less time", "memory",
    ]  # fmt: skip
    print("| " + " | ".join(head) + " |")
    print("| --- |" + " ---: |" * (len(head) - 1))
    seconds = lambda value: f"{value:.3g} s" if value >= 0.1 else f"{value * 1e3:.3g} ms"
    kinds = [
        ("prove_seconds", seconds),
        ("verify_seconds", seconds),
        ("proof_bytes", lambda value: f"{value:.0f} B"),
        ("peak_memory_bytes", lambda value: f"{value / 2**20:.0f} MiB"),
    ]
    for result in results:
        own, peer = result["ours"], result.get("ezkl")
        cells = [STATEMENTS[result["name"]]]
        for key, show in kinds:
            cells += [show(peer[key]) if peer else "SKIPPED", show(own[key])]
        for key in ("prove_seconds", "peak_memory_bytes"):
            cells.append(f"{peer[key] / own[key]:.1f}" if peer else "")
        print("| " + " | ".join(cells) + " |")


def settled_load():
    """The load, after an earlier build no longer affects it, or after 300 seconds."""
    if not hasattr(os, "getloadavg"):
        return float("nan")
    end = time.monotonic() + 300
    while (load := os.getloadavg()[0]) > QUIET and time.monotonic() < end:
        time.sleep(5)
    return load


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "--worker":
        command, name, folder = sys.argv[2:]
        print(json.dumps(WORKERS[command](name, Path(folder))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", required=True, help="path of the program poai")
    parser.add_argument("--runs", type=int, default=3, help="proofs of each statement, for medians")
    parser.add_argument("--only", choices=STATEMENTS, action="append")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    probe = subprocess.run(
        [sys.executable, "-c", "import ezkl, onnx, numpy"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if probe.returncode != 0:
        print(f"SKIPPED: EZKL does not load: {(probe.stderr.strip() or 'killed').splitlines()[-1]}")
        return
    load = settled_load()
    today = datetime.datetime.now(datetime.timezone.utc).date()
    print(f"{today}, {platform.machine()}, {os.cpu_count()} threads, load before {load:.2f}; ", end="")
    print(f"medians of {arguments.runs} runs in turns, RUSTFLAGS={os.environ.get('RUSTFLAGS', '')!r}")
    if load > QUIET:
        print("The machine was busy: do not use these figures.")
    print(flush=True)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only or STATEMENTS:
            result = measure(name, Path(folder) / name, arguments.ours, arguments.runs)
            if result is not None:
                results.append(result)
    table(results)
    if arguments.json:
        text = json.dumps({"date": str(today), "load": load, "statements": results}, indent=2)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
