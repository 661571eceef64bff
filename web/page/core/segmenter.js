// SPDX-License-Identifier: Apache-2.0
// The way of one object through the graphs (paper Eq. 3), as `amodal_ros` goes it in mode `roi`.

import { Region, checkBox, clipBox, objectRegion, priorBox } from "./geometry.js";
import { Mask } from "./masks.js";
import { maskFromLogits, withSharedOutline } from "./postprocess.js";
import { preprocess } from "./preprocess.js";
import { checkPoints, decoderPrompts } from "./prompts.js";

/** Throws unless the page can run the model that a manifest describes. */
function checkManifest({ schema_version: version, mode }) {
  if (version !== 1) throw new Error(`manifest: expected schema_version 1, got ${version}`);
  if (mode !== "roi") throw new Error(`manifest: this page runs models of mode roi, got ${mode}`);
}

/**
 * Visible and amodal masks of objects in one picture.
 *
 * `run(graph, inputs)`: the engine; takes and gives {name: {data: Float32Array, dims: number[]}}.
 * `measure(step, work)`: calls `work` and keeps how long it took.
 */
export class Segmenter {
  constructor(manifest, run, measure) {
    checkManifest(manifest);
    Object.assign(this, { manifest, run, measure });
    const names = (tensors) => tensors.map(({ name }) => name);
    const { inputs, outputs } = manifest.graphs.decoder;
    this.decoderInputs = names(inputs);
    // A decoder of one pass gives the visible mask beside the amodal one.
    this.onePass = names(outputs).includes("visible_logits");
  }

  /**
   * Segments one object.
   *
   * @param picture {width, height, data}, data RGBA.
   * @param {{box: ?number[], points: object[], prior: ?Mask}} query original pixels; without a
   *   box the points alone say what for; `prior`: M_spec, else it is made from the box.
   * @returns {Promise<{visible: Mask, amodal: Mask, rawAmodal: Mask, prior: Mask, region: Region,
   *   predictedIou: number}>}
   */
  async segment(picture, { box = null, points = [], prior = null }) {
    const { width, height } = picture;
    const { manifest } = this;
    checkPoints(points, box, width, height);
    if (!box && !points.length) throw new RangeError("expected a box, points or both, got neither");
    const given = box ? checkBox(box, width, height) : await this.boxOfPoints(picture, points);
    const place = clipBox(given, width, height);
    const { roi_factor: factor, image_size: size } = manifest;
    const region = objectRegion(width, height, place, prior && prior.box, factor, size);
    const prompts = decoderPrompts(points, box && place, region, manifest.family);
    const features = await this.encode(picture, region);
    prior ??= Mask.ofBox(priorBox(place, manifest.prior_expand, width, height), width, height);
    const passes = this.onePass ? [prior] : [null, prior];
    const found = await this.decode(features, prompts, region, passes);
    return { ...found, prior, region, amodal: found.rawAmodal.union(found.visible) };
  }

  /** Where the points' object is when all of the picture is looked at; nowhere: the picture. */
  async boxOfPoints(picture, points) {
    const { width, height } = picture;
    const whole = [0, 0, width, height];
    const region = Region.about(width, height, whole, this.manifest.image_size);
    const prompts = decoderPrompts(points, null, region, this.manifest.family);
    const features = await this.encode(picture, region);
    const { visible } = await this.decode(features, prompts, region, [null]);
    const found = visible.box;
    return found[2] ? found : whole;
  }

  async encode(picture, region) {
    const { mean, std, image_size: size } = this.manifest;
    const data = await this.measure("preprocess", () => preprocess(picture, region, mean, std));
    const image = { data, dims: [1, 3, size, size] };
    return (await this.measure("prefix", () => this.run("prefix", { image }))).features;
  }

  /**
   * Suffix and decoder, a row for each pass: M_spec null is the base model's pass (adapter gain
   * 0, the visible mask), a mask the adapted one (gain 1, the amodal mask).
   */
  async decode(features, prompts, region, passes) {
    const { image_size: size, mask_threshold: threshold } = this.manifest;
    const rows = passes.length;
    const priors = await this.measure("prior", () => stacked(
      passes.map((mask) => (mask ? mask.toInput(region) : new Float32Array(size * size))),
    ));
    const given = {
      prior_masks: { data: priors, dims: [rows, 1, size, size] },
      adapter_gain: { data: Float32Array.from(passes, (mask) => (mask ? 1 : 0)), dims: [rows] },
    };
    const embeddings = await this.measure("suffix", () =>
      this.run("suffix", { features: repeated(features, rows), ...given }));
    const count = prompts.labels.length;
    const available = {
      ...given, ...embeddings,
      point_coords: repeated({ data: prompts.coords, dims: [1, count, 2] }, rows),
      point_labels: repeated({ data: prompts.labels, dims: [1, count] }, rows),
    };
    const inputs = Object.fromEntries(this.decoderInputs.map((name) => [name, available[name]]));
    const outputs = await this.measure("decoder", () => this.run("decoder", inputs));
    return this.measure("postprocess", () => {
      const row = ({ data }, number) =>
        data.subarray(number * data.length / rows, (number + 1) * data.length / rows);
      const mask = (values) => maskFromLogits(values, region, threshold);
      const { low_res_logits: logits, visible_logits: seen, predicted_iou: iou } = outputs;
      const last = rows - 1;
      let [whole, visible] = [row(logits, last), null];
      if (passes[last] && this.onePass) {
        visible = mask(row(seen, last));
        if (this.manifest.shared_outline) whole = withSharedOutline(whole, row(seen, last));
      } else if (!passes[0]) visible = mask(row(logits, 0));
      return { visible, rawAmodal: mask(whole), predictedIou: iou.data[last] };
    });
  }
}

function stacked(parts) {
  const data = new Float32Array(parts.length * parts[0].length);
  parts.forEach((part, index) => data.set(part, index * part.length));
  return data;
}

function repeated({ data, dims }, rows) {
  return { data: stacked(Array(rows).fill(data)), dims: [rows, ...dims.slice(1)] };
}
