// SPDX-License-Identifier: Apache-2.0
// Calls functions of the page's core for the tests in Python: a line of JSON in, a line out.
import { createInterface } from "node:readline";
import { encodeRle } from "../../web/page/app/coco.js";
import * as geometry from "../../web/page/core/geometry.js";
import { Mask } from "../../web/page/core/masks.js";
import { Junctions } from "../../web/page/app/junctions.js";
import { occlusionOrder, occlusionRate } from "../../web/page/app/occlusion.js";
import { maskFromLogits } from "../../web/page/core/postprocess.js";
import { preprocess } from "../../web/page/core/preprocess.js";
import * as prompts from "../../web/page/core/prompts.js";
import { resizeImage } from "../../web/page/core/resize.js";
import { Segmenter } from "../../web/page/core/segmenter.js";
import { chooseEngine } from "../../web/page/engine/runtime.js";

const { Region } = geometry;
const square = ({ x0, y0, x1, y1 }) => [x0, y0, x1, y1];
const region = ({ width, height, box, size }) => Region.about(width, height, box, size);

const maskOf = ({ width, height, pixels }) => {
  const mask = new Mask(width, height, [0, 0, width, height]);
  mask.data.set(pixels);
  return mask;
};
const pixelsOf = (mask) =>
  Array.from({ length: mask.width * mask.height }, (_, index) =>
    mask.at(index % mask.width, Math.floor(index / mask.width)));

// The rules of FakeBackend in tests/fakes.py.
const fakeEngine = (size, low, calls) => async (graph, inputs) => {
  const dims = Object.entries(inputs).map(([name, tensor]) => [name, tensor.dims]);
  calls.push({ graph, dims: Object.fromEntries(dims) });
  const area = size * size;
  if (graph === "prefix") {
    const { data } = inputs.image;
    const grey = Float32Array.from({ length: area }, (_, i) =>
      (data[i] + data[area + i] + data[2 * area + i]) / 3);
    return { features: { data: grey, dims: [1, 1, size, size] } };
  }
  const rows = Array.from({ length: inputs.point_coords?.dims[0] ?? inputs.adapter_gain.dims[0] },
    (_, row) => row);
  if (graph === "suffix") {
    const embeddings = new Float32Array(rows.length * 2 * area);
    for (const row of rows) {
      embeddings.set(inputs.features.data.subarray(row * area, (row + 1) * area), 2 * row * area);
      const spec = inputs.prior_masks.data.subarray(row * area, (row + 1) * area);
      const gain = inputs.adapter_gain.data[row];
      embeddings.set(spec.map((value) => value * gain), (2 * row + 1) * area);
    }
    return { embeddings: { data: embeddings, dims: [rows.length, 2, size, size] } };
  }
  const spec = (row, index) => inputs.embeddings.data[(2 * row + 1) * area + index];
  const logits = (withSpec) => rows.flatMap((row) => lowResLogits(
    inputs, row, size, low, withSpec ? (index) => spec(row, index) : () => 0));
  // Of a pass without M_spec nobody asks for it: everything.
  const visibleLogits = () => Float32Array.from(logits(false), (value, index) =>
    (inputs.adapter_gain.data[Math.floor(index / (low * low))] ? value : 2));
  const iou = rows.map((row) => {
    let sum = 0;
    for (let index = 0; index < area; index++) sum += spec(row, index);
    return sum / area;
  });
  const maps = { dims: [rows.length, 1, low, low] };
  return {
    low_res_logits: { data: Float32Array.from(logits(true)), ...maps },
    predicted_iou: { data: Float32Array.from(iou), dims: [rows.length] },
    ...(inputs.adapter_gain && { visible_logits: { data: visibleLogits(), ...maps } }),
  };
};

const lowResLogits = ({ point_coords: coords, point_labels: labels }, row, size, low, spec) => {
  const [step, count] = [size / low, labels.dims[1]];
  const points = Array.from({ length: count }, (_, index) => {
    const at = row * count + index;
    return { x: coords.data[2 * at], y: coords.data[2 * at + 1], label: labels.data[at] };
  });
  const corners = points.filter(({ label }) => label >= 2);
  return Array.from({ length: low * low }, (_, index) => {
    const [column, line] = [index % low, Math.floor(index / low)];
    const [x, y] = [(column + 0.5) * step, (line + 0.5) * step];
    let inside = 8 - Math.hypot(x - points[0].x, y - points[0].y);
    if (corners.length) {
      const [first, second] = corners;
      inside = Math.min(x - first.x, second.x - x, y - first.y, second.y - y);
    }
    let mean = 0;
    for (let i = 0; i < step * step; i++) {
      const at = (line * step + Math.floor(i / step)) * size + column * step + (i % step);
      mean += spec(at) / step ** 2;
    }
    return Math.max(Math.min(Math.max(inside, -2), 2), 4 * mean - 2);
  });
};

const orMessage = (work) => {
  try {
    return work() ?? null;
  } catch (error) {
    return error.message;
  }
};

const functions = {
  region: (given) => square(region(given)),
  objectRegion: ({ width, height, box, priorBox, factor, size }) =>
    square(geometry.objectRegion(width, height, box, priorBox, factor, size)),
  toInput: ({ points, ...given }) => points.map((point) => region(given).toInput(point)),
  checkBox: ({ box, width, height }) =>
    orMessage(() => geometry.checkBox(box.map(Number), width, height)),
  checkPoints: ({ points, box, width, height }) =>
    orMessage(() => prompts.checkPoints(points, box, width, height)),
  clipBox: ({ box, width, height }) => geometry.clipBox(box, width, height),
  priorBox: ({ box, factor, width, height }) => geometry.priorBox(box, factor, width, height),
  maskOfBox: ({ box, width, height }) => pixelsOf(Mask.ofBox(box, width, height)),
  maskBox: (mask) => maskOf(mask).box,
  maskToInput: ({ mask, ...given }) => [...maskOf(mask).toInput(region(given))],
  maskPair: ({ a, b }) => {
    const [first, second] = [maskOf(a), maskOf(b)];
    return ["union", "without"].map((name) => pixelsOf(first[name](second)));
  },
  resize: ({ width, height, data, to }) => [...resizeImage({ width, height, data }, ...to).data],
  preprocess: ({ picture, mean, std, ...given }) =>
    [...preprocess(picture, region(given), mean, std)],
  prompts: ({ points, withBox, family, ...given }) => {
    const box = withBox ? given.box : null;
    const { coords, labels } = prompts.decoderPrompts(points, box, region(given), family);
    return { coords: [...coords], labels: [...labels] };
  },
  maskFromLogits: ({ logits, threshold, ...given }) =>
    pixelsOf(maskFromLogits(Float32Array.from(logits), region(given), threshold)),
  occlusionRate: ({ visible, amodal }) => occlusionRate(maskOf(visible), maskOf(amodal)),
  occlusionOrder: ({ objects, least }) => occlusionOrder(
    objects.map(({ id, visible, amodal }) =>
      ({ id, visible: maskOf(visible), amodal: maskOf(amodal) })), least),
  towardsFirst: ({ seen }) => new Junctions(
    seen.map(maskOf).map((visible) => ({ visible, amodal: visible }))).towardsFirst(0, 1),
  chooseEngine: async ({ wanted, adapter, isolated, cores }) => {
    const gpu = adapter === undefined ? undefined : { requestAdapter: async () => adapter };
    const navigator = { gpu, hardwareConcurrency: cores };
    Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
    globalThis.crossOriginIsolated = isolated;
    return chooseEngine(wanted);
  },
  rle: (mask) => encodeRle(maskOf(mask)),
  segment: async ({ manifest, picture, query }) => {
    const calls = [];
    const engine = fakeEngine(manifest.image_size, manifest.low_res_size, calls);
    const prior = query.prior && maskOf(query.prior);
    try {
      const segmenter = new Segmenter(manifest, engine, (_, work) => work());
      const found = await segmenter.segment(picture, { ...query, prior });
      return {
        visible: pixelsOf(found.visible), amodal: pixelsOf(found.amodal),
        prior: pixelsOf(found.prior), iou: found.predictedIou, calls,
      };
    } catch (error) {
      return { error: error.message, calls };
    }
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { name, given } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await functions[name](given) };
  } catch (error) {
    answer = { failed: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
