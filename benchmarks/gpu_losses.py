"""The losses on a GPU, forward and backward: time, memory, and the share of the GPU's own matrix speed.

    python benchmarks/gpu_losses.py --json gpu.json
    python benchmarks/gpu_losses.py --tune          # other tile sizes of the fused kernels
    python benchmarks/gpu_losses.py --compile       # registers and shared memory of the kernels; needs no GPU

Sides: the dense formula, the dense formula through ``torch.compile``, Inf-CL's kernel (``pip install inf-cl``) where
it is installed, and nearfar with its fused kernels and with its torch tiles. A side that would not fit into the
GPU's memory is left out. The ceiling is the speed of one large matrix product in the same precision, measured in the
same run; a loss is credited with the products of the dense formula, 6 N M D operations, whatever a side computes.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar import losses
from nearfar.losses.engine import triton

TEMPERATURE = 0.05
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Loss = Callable[[Tensor, Tensor], Tensor]


def dense_info_nce(a: Tensor, b: Tensor) -> Tensor:
    logits = F.normalize(a.float(), dim=1) @ F.normalize(b.float(), dim=1).t() / TEMPERATURE
    return F.cross_entropy(logits, torch.arange(len(a), device=a.device))


def dense_nt_xent(a: Tensor, b: Tensor) -> Tensor:
    z = F.normalize(torch.cat((a, b)).float(), dim=1)
    logits = (z @ z.t() / TEMPERATURE).fill_diagonal_(-torch.inf)
    return F.cross_entropy(logits, torch.arange(len(z), device=z.device).roll(len(a)))


def inf_cl_info_nce() -> Loss | None:
    """Inf-CL's kernel on one GPU, for InfoNCE in one direction."""
    if importlib.util.find_spec("inf_cl") is None:
        return None
    from inf_cl.flash import cal_flash_loss

    def loss(a: Tensor, b: Tensor) -> Tensor:
        a, b = F.normalize(a.float(), dim=1), F.normalize(b.float(), dim=1)
        return cal_flash_loss(a, b, scale=1 / TEMPERATURE, head_dim=a.shape[1]).mean()

    return loss


def without_fusion(loss: Loss) -> Loss:
    def tiles(a: Tensor, b: Tensor) -> Tensor:
        triton.use(False)
        try:
            return loss(a, b)
        finally:
            triton.use(True)

    return tiles


def sides(name: str) -> dict[str, Loss]:
    """Every implementation of one loss; those that hold the matrix start with ``dense``."""
    ours: Loss = {
        "info_nce": lambda a, b: losses.info_nce(a, b, temperature=TEMPERATURE),
        "nt_xent": lambda a, b: losses.nt_xent(a, b, temperature=TEMPERATURE),
    }[name]
    dense = {"info_nce": dense_info_nce, "nt_xent": dense_nt_xent}[name]
    found = {"nearfar fused": ours, "nearfar tiles": without_fusion(ours)}
    found |= {"dense": dense, "dense compiled": torch.compile(dense, dynamic=False)}
    peer = inf_cl_info_nce() if name == "info_nce" else None
    return found | ({"inf_cl": peer} if peer else {})


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of one call on the GPU."""
    work()
    times = []
    for _ in range(repeats):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        stop.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(stop) / 1e3)
    return statistics.median(times)


def ceiling(dtype: torch.dtype) -> float:
    """Operations per second of an 8192 x 8192 x 8192 product."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=dtype) for _ in range(2))
    return 2 * 8192**3 / seconds(lambda: a @ b, 10)


def embeddings(size: int, options: argparse.Namespace) -> list[Tensor]:
    generator = torch.Generator("cuda").manual_seed(0)
    shape, dtype = (size, options.width), DTYPES[options.dtype]
    return [torch.randn(shape, generator=generator, device="cuda").to(dtype).requires_grad_() for _ in range(2)]


def measure(name: str, size: int, options: argparse.Namespace, peak: float) -> list[dict[str, Any]]:
    """One row for every side that fits."""
    rows = []
    matrix = (size if name == "info_nce" else 2 * size) ** 2
    inputs = embeddings(size, options)
    for side, loss in sides(name).items():
        # Logits, their gradient, log-probabilities and one temporary, in float32.
        if side.startswith("dense") and 16 * matrix > 0.9 * torch.cuda.mem_get_info()[0]:
            continue

        def step(loss: Loss = loss) -> None:
            for x in inputs:
                x.grad = None
            loss(*inputs).backward()

        step()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        time = seconds(step, options.repeats)
        used = (torch.cuda.max_memory_allocated() - before) / 2**20
        speed = 6 * matrix * options.width / time
        row = {"loss": name, "size": size, "side": side, "seconds": time, "megabytes": used, "of_ceiling": speed / peak}
        rows.append(row)
        print(f"{name:<10}{size:>8}  {side:<16}{time * 1e3:>10.3f}{used:>10.0f}{speed / peak:>9.0%}", flush=True)
        torch.cuda.empty_cache()
    return rows


def tune(options: argparse.Namespace) -> None:
    """Time both kernels with every candidate of tile sizes that the GPU can run."""
    from triton.runtime.errors import OutOfResources

    from nearfar.losses.engine.triton import engine

    half = options.dtype != "float32"
    y = F.normalize(torch.randn(16384, options.width, device="cuda"), dim=1) * 5
    a = engine.operand(y, y.to(DTYPES[options.dtype]) if half else None)
    whole = slice(0, len(y))
    total, shift = engine.row_sums(a, a, whole, (0,)).saved()
    side = total.reciprocal(), shift
    runs: dict[str, Callable[[], object]] = {
        "sums": lambda: engine.row_sums(a, a, whole, (0,)),
        "gradient": lambda: engine.row_gradient(a, a, whole, (0,), side, side),
    }
    for kernel, run in runs.items():
        found = {}
        for sizes in itertools.product((64, 128), (32, 64, 128), (4, 8), (1, 2, 3)):
            engine.TILES[kernel, half] = sizes
            try:
                found[sizes] = seconds(run, 5)
            except OutOfResources:
                continue
        for sizes, time in sorted(found.items(), key=lambda item: item[1])[:5]:
            print(f"{kernel:<10}{options.dtype:<10} rows, columns, warps, stages {sizes}: {time * 1e3:.3f} ms")


def compile_kernels(capability: int) -> list[dict[str, Any]]:
    """Shared memory, registers and spilled bytes of both kernels for one kind of GPU, without having it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from nearfar.losses.engine.triton import engine, kernels

    rows = []
    for (kernel, half), (height, columns, warps, stages) in engine.TILES.items():
        function = kernels.row_sums_kernel if kernel == "sums" else kernels.row_gradient_kernel
        known: dict[str, Any] = {"HALF": half, "SKIP": True, "BY_ROW": True, "BY_COL": True}
        known |= {"BLOCK_M": height, "BLOCK_N": columns, "BLOCK_K": engine.DEPTH[half], "BLOCK_D": engine.MOST_OUT}
        known |= {} if half else {"left_scale": None, "right_scale": None}
        given = dict.fromkeys(("left", "right"), "*bf16" if half else "*fp32")
        given |= dict.fromkeys(("first", "row_limit", "col_limit", "width", "period"), "i32")
        names = function.arg_names
        signature = {name: "constexpr" if name in known else given.get(name, "*fp32") for name in names}
        constants = {(names.index(name),): value for name, value in known.items() if name in names}
        aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name] != "constexpr"}
        source = ASTSource(fn=function, signature=signature, constexprs=constants, attrs=aligned)
        options = {"num_warps": warps, "num_stages": stages}
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)
        row = {"capability": capability, "kernel": kernel, "half": half, "shared": compiled.metadata.shared}
        rows.append(row | registers(compiled.asm["ptx"], capability))
    return rows


def registers(ptx: str, capability: int) -> dict[str, int]:
    """What the assembler that Triton brings says about registers."""
    import triton.backends.nvidia as nvidia

    assembler = next((Path(nvidia.__file__).parent / "bin").glob("ptxas*"))
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        target = f"--gpu-name=sm_{capability}{'a' if capability >= 90 else ''}"
        command = [str(assembler), "-v", target, file.name, "-o", "/dev/null"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spilled = re.search(r"(\d+) bytes spill stores", said)
    used = re.search(r"Used (\d+) registers", said)
    return {"registers": int(used[1]) if used else 0, "spilled": int(spilled[1]) if spilled else 0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--losses", nargs="+", default=["info_nce", "nt_xent"], choices=["info_nce", "nt_xent"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[4096, 16384, 65536, 262144], help="pairs")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--dtype", default="float32", choices=list(DTYPES))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write every number there")
    parser.add_argument("--tune", action="store_true", help="time other tile sizes of the fused kernels")
    parser.add_argument("--compile", action="store_true", help="compile the fused kernels; needs Triton and no GPU")
    options = parser.parse_args()
    if options.compile:
        rows = [row for capability in (80, 90) for row in compile_kernels(capability)]
        print(json.dumps(rows, indent=2))
        return 0
    if not torch.cuda.is_available():
        print(
            "gpu_losses measures on an NVIDIA GPU and torch finds none here (torch.cuda.is_available() is False). "
            "Run it on a machine with one, with a torch built for CUDA; --compile checks the kernels without.",
            file=sys.stderr,
        )
        return 2
    if options.tune:
        tune(options)
        return 0
    peak = ceiling(DTYPES[options.dtype])
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, width {options.width}, {options.dtype}")
    print(f"ceiling {peak / 1e12:.0f} TFLOP/s; milliseconds, MB beyond the inputs, share of the ceiling")
    rows = [row for name in options.losses for size in options.sizes for row in measure(name, size, options, peak)]
    if options.json:
        setting = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "width": options.width}
        setting |= {"dtype": options.dtype, "ceiling": peak}
        options.json.write_text(json.dumps({**setting, "results": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
