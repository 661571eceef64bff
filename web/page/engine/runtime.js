// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime: chooses WebGPU or WebAssembly, loads the graphs, runs them.

const BUILDS = {
  webgpu: { script: "ort.webgpu.min.mjs", wasm: "ort-wasm-simd-threaded.asyncify" },
  wasm: { script: "ort.wasm.min.mjs", wasm: "ort-wasm-simd-threaded" },
};
const MAX_THREADS = 8; // more do not pay for graphs of this size

/**
 * What this browser offers.
 *
 * @param {"auto" | "webgpu" | "wasm"} wanted
 * @returns {Promise<{kind: "webgpu" | "wasm", label: string, threads: number, note: string}>}
 *   note: why it is not WebGPU, where that was not asked for.
 */
export async function chooseEngine(wanted) {
  const isolated = globalThis.crossOriginIsolated === true;
  const threads = isolated ? Math.min(navigator.hardwareConcurrency || 1, MAX_THREADS) : 1;
  const count = threads === 1 ? "1 thread" : `${threads} threads`;
  const wasm = { kind: "wasm", label: `WebAssembly, SIMD, ${count}`, threads };
  if (wanted === "wasm") return { ...wasm, note: "" };
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return { ...wasm, note: "this browser offers no WebGPU" };
  const { vendor, architecture, description } = adapter.info ?? {};
  const name = description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU";
  const emulated = adapter.info?.isFallbackAdapter || /swiftshader/i.test(name);
  if (emulated && wanted !== "webgpu") return { ...wasm, note: "WebGPU is emulated here" };
  return { kind: "webgpu", label: `WebGPU, ${name}`, threads, note: "" };
}

/**
 * Loads ONNX Runtime and a model's graphs.
 *
 * @param engine of `chooseEngine`.
 * @param {URL} root of the built page.
 * @param {(done: number, total: number, what: string) => void} progress in bytes.
 * @returns {Promise<{manifest: object, run: Function, timings: object}>}
 */
export async function loadModel(engine, root, progress) {
  const timings = {};
  const start = performance.now();
  const [build, manifest] = await Promise.all([
    fetchJson(new URL("build.json", root)), fetchJson(new URL("model/manifest.json", root)),
  ]);
  const files = BUILDS[engine.kind];
  const runtimeName = `${files.wasm}.wasm`;
  const graphs = Object.entries(manifest.graphs);
  const total = graphs.reduce((sum, [, { bytes }]) => sum + bytes, build.bytes[runtimeName]);
  let done = 0;
  const onBytes = (count) => progress((done += count), total, "Loading the model");
  progress(0, total, "Loading the model");
  const [runtime, ...contents] = await Promise.all([
    fetchBytes(new URL(`ort/${runtimeName}`, root), build.bytes[runtimeName], onBytes),
    ...graphs.map(async ([, { file, bytes, sha256 }]) => {
      const content = await fetchBytes(new URL(`model/${file}`, root), bytes, onBytes);
      await checkDigest(content, sha256, file);
      return content;
    }),
  ]);
  timings.download = performance.now() - start;

  const ort = await import(new URL(`ort/${files.script}`, root));
  ort.env.wasm.numThreads = engine.threads;
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.wasmPaths = { mjs: new URL(`ort/${files.wasm}.mjs`, root).href };
  const sessions = {};
  for (const [index, [name]] of graphs.entries()) {
    progress(index, graphs.length, "Preparing the model");
    sessions[name] = await ort.InferenceSession.create(contents[index], {
      executionProviders: [engine.kind],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // errors; a warning tells that shapes are computed on the CPU
      // Plans of memory are made for one number of rows, which varies.
      enableMemPattern: false,
    });
  }
  timings.prepare = performance.now() - start - timings.download;
  return { manifest, timings, run: (graph, inputs) => runGraph(ort, sessions[graph], inputs) };
}

async function runGraph(ort, session, inputs) {
  const feeds = {};
  for (const [name, { data, dims }] of Object.entries(inputs)) {
    feeds[name] = new ort.Tensor("float32", data, dims);
  }
  const outputs = await session.run(feeds);
  const results = {};
  for (const [name, tensor] of Object.entries(outputs)) {
    results[name] = { data: tensor.data, dims: tensor.dims };
  }
  return results;
}

async function fetchFile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url.pathname}: the server answered ${response.status}`);
  return response;
}

async function fetchJson(url) {
  return (await fetchFile(url)).json();
}

/** A file of known size; `onBytes` hears of each part that arrives. */
async function fetchBytes(url, size, onBytes) {
  const reader = (await fetchFile(url)).body.getReader();
  const content = new Uint8Array(size);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (length + value.length > size) throw new Error(`${url.pathname}: more than ${size} bytes`);
    content.set(value, length);
    length += value.length;
    onBytes(value.length);
  }
  if (length !== size) throw new Error(`${url.pathname}: expected ${size} bytes, got ${length}`);
  return content;
}

async function checkDigest(content, expected, file) {
  if (!crypto.subtle) return; // plain http from another machine: the browser has no digest there
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const found = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== expected) throw new Error(`${file}: expected sha256 ${expected}, got ${found}`);
}
