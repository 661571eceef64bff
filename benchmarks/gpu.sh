#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Measures on an NVIDIA GPU what docs/performance.md lacks: benchmarks/gpu.sh [OUT_FOLDER]
#
# Needs nothing from the network and at most eight minutes. What is not installed is left out and
# said. Results are JSON files in OUT_FOLDER (default: benchmarks/results/gpu).
set -u
cd "$(dirname "$0")/.." || exit 2
out=${1:-benchmarks/results/gpu}
mkdir -p "$out" || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
model=$(python -c 'from amodal_ros.model_folder.manifest import default_model_dir as d; print(d())') || exit 2
began=$SECONDS

# step SECONDS NAME COMMAND...: within its own limit and that of all.
step() {
    local limit=$1 name=$2 left=$((470 - (SECONDS - began)))
    shift 2
    ((left < 10)) && { echo "$name: no time left"; return 1; }
    ((limit > left)) && limit=$left
    echo "== $name (at most $limit s)"
    timeout "$limit" "$@" >"$out/$name.log" 2>&1 || { echo "$name: failed, see $out/$name.log"; return 1; }
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv >"$out/gpu.csv" 2>&1
engines=()
if python -c 'import onnxruntime as o; exit("CUDAExecutionProvider" not in o.get_available_providers())'; then
    step 60 gate-cuda python -m amodal_ros.verify "$model" --backend onnxruntime \
        --providers CUDAExecutionProvider --json "$out/gate-cuda.json"
    engines+=(--engine onnxruntime:CUDAExecutionProvider)
else
    echo "ONNX Runtime has no CUDA here"
fi
if python -c 'import tensorrt' 2>/dev/null; then
    for precision in fp16 bf16; do
        step 110 "build-$precision" python export/to_trt.py --model "$model" \
            --precision "$precision" --out "$out/engines-$precision" &&
            engines+=(--engine "tensorrt:$out/engines-$precision")
    done
else
    echo "TensorRT is not installed"
fi
if python -c 'import torch; exit(not torch.cuda.is_available())' 2>/dev/null; then
    step 60 torch python -m benchmarks.gpu_torch --out "$out/torch.json"
else
    echo "torch sees no GPU"
fi
# Before what only compares: a step that runs out of time leaves nothing.
if ((${#engines[@]})); then
    step 120 engines python -m benchmarks.engines --out "$out/engines.json" "${engines[@]}"
fi
step 90 cpu python -m benchmarks.engines --out "$out/cpu.json" --objects 1 4 --repeats 3 \
    --engine openvino --engine onnxruntime
