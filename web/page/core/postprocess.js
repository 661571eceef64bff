// SPDX-License-Identifier: Apache-2.0
// From the decoder's low-res logits to a mask of the picture.

import { f32 } from "./geometry.js";
import { Mask } from "./masks.js";

// Logits that differ by this much count a third as one.
const NEAR = 2;

/**
 * The logits of a whole object, with the edges of what is seen where both masks end together; see
 * `inference/postprocess.py`.
 *
 * @param {Float32Array} amodal logits
 * @param {Float32Array} visible logits, as many
 */
export function withSharedOutline(amodal, visible) {
  return amodal.map((logit, cell) => {
    const apart = f32(visible[cell] - logit);
    return logit + f32(Math.exp(-f32((apart / NEAR) ** 2))) * apart;
  });
}

/**
 * Carries logits (s x s, of a region's input) to the picture: bilinear, set where greater than the
 * threshold. Picture pixels whose centres lie outside of the region are not set.
 */
export function maskFromLogits(logits, region, threshold) {
  const side = Math.sqrt(logits.length);
  const columns = linearAxis(region.x0, region, side, region.width);
  const rows = linearAxis(region.y0, region, side, region.height);
  const [width, height] = [columns.lower.length, rows.lower.length];
  const [x0, y0] = [columns.first, rows.first];
  const mask = new Mask(region.width, region.height, [x0, y0, x0 + width, y0 + height]);
  const wide = new Float32Array(side * width);
  for (let index = 0; index < wide.length; index++) {
    const [start, column] = [Math.floor(index / width) * side, index % width];
    const left = logits[start + columns.lower[column]];
    const right = logits[start + Math.min(columns.lower[column] + 1, side - 1)];
    wide[index] = f32(left + f32(f32(right - left) * columns.weights[column]));
  }
  rows.lower.forEach((lower, row) => {
    const [top, bottom] = [lower * width, Math.min(lower + 1, side - 1) * width];
    const weight = rows.weights[row];
    for (let column = 0; column < width; column++) {
      const low = wide[top + column];
      const value = f32(f32(f32(wide[bottom + column] - low) * weight) + low);
      mask.data[row * width + column] = value > threshold ? 1 : 0;
    }
  });
  return mask;
}

/**
 * For each picture pixel of an axis whose centre lies within the region: the lower logit pixel,
 * and the weight of the next one. Beyond the outer centres the border logit is repeated.
 */
function linearAxis(low, region, side, pictureSize) {
  const scale = region.scale * (side / region.size);
  const [lower, weights] = [[], []];
  let first = 0;
  for (let pixel = 0; pixel < pictureSize; pixel++) {
    const position = (pixel + 0.5) * scale + -low * scale;
    if (position < 0) first = pixel + 1;
    if (position < 0 || position >= side) continue;
    const centred = Math.min(Math.max(position - 0.5, 0), side - 1);
    const below = Math.min(Math.floor(centred), Math.max(side - 2, 0));
    lower.push(below);
    weights.push(f32(centred - below));
  }
  return { first, lower, weights };
}
