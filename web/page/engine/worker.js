// SPDX-License-Identifier: Apache-2.0
// Runs the model beside the page, so that the page answers while it computes.
//
// In:  {type: "load", engine}, {type: "picture", picture}, {type: "segment", id, query}
// Out: {type: "progress", done, total, what}, {type: "ready", engine, model, timings},
//      {type: "result", id, found, timings}, {type: "failed", id, message}

import { Mask } from "../core/masks.js";
import { Segmenter } from "../core/segmenter.js";
import { chooseEngine, loadModel } from "./runtime.js";

const ROOT = new URL("../", import.meta.url);
let segmenter = null;
let kind = "";
let picture = null;
let timings = {};

async function measure(step, work) {
  const start = performance.now();
  const result = await work();
  timings[step] = (timings[step] ?? 0) + performance.now() - start;
  return result;
}

const handlers = {
  async load({ engine: wanted }) {
    const progress = (done, total, what) => postMessage({ type: "progress", done, total, what });
    let engine = await chooseEngine(wanted);
    let model;
    try {
      model = await loadModel(engine, ROOT, progress);
      segmenter = new Segmenter(model.manifest, model.run, measure);
      if (engine.kind === "webgpu") await warmUp();
    } catch (error) {
      if (engine.kind !== "webgpu" || wanted === "webgpu") throw error;
      // A GPU that fails is told of in the note; what runs instead is WebAssembly.
      engine = { ...await chooseEngine("wasm"), note: `WebGPU failed: ${error.message}` };
      model = await loadModel(engine, ROOT, progress);
      segmenter = new Segmenter(model.manifest, model.run, measure);
    }
    ({ kind } = engine);
    const { name, image_size: inputSize } = model.manifest;
    return { type: "ready", engine, model: { name, inputSize }, timings: model.timings };
  },

  async picture(message) {
    picture = message.picture;
  },

  async segment({ id, query }) {
    timings = {};
    const start = performance.now();
    const prior = query.prior && Mask.from(query.prior);
    const found = await segmenter.segment(picture, { ...query, prior });
    timings.total = performance.now() - start;
    return { type: "result", id, found, timings };
  },
};

/** Runs all graphs once: a GPU compiles its shaders then, and shows whether it can. */
async function warmUp() {
  const size = 64;
  const data = new Uint8ClampedArray(size * size * 4).fill(127);
  await segmenter.segment({ width: size, height: size, data }, { box: [16, 16, 48, 48] });
}

function explain(error) {
  const message = error?.message ?? String(error);
  const memory = error instanceof RangeError && /allocation|memory/i.test(message);
  if (memory || /out of memory|bad_alloc|memory access|Aborted/i.test(message)) {
    return `There is not enough memory for this on this device (${message}).`;
  }
  return kind === "webgpu" ? `${message} (WebAssembly, below, may do better.)` : message;
}

let queue = Promise.resolve();
addEventListener("message", ({ data }) => {
  queue = queue.then(async () => {
    try {
      const answer = await handlers[data.type](data);
      if (answer) postMessage(answer);
    } catch (error) {
      postMessage({ type: "failed", id: data.id, during: data.type, message: explain(error) });
    }
  });
});
