// SPDX-License-Identifier: Apache-2.0
// From a picture to the image encoder's tensor.

import { f32 } from "./geometry.js";
import { resizeImage } from "./resize.js";

/**
 * Cuts a region out, resizes and normalises it.
 *
 * @param picture {width, height, data}, data RGBA as a canvas gives it.
 * @returns {Float32Array} (3, S, S): (x - mean) / std, 0 outside of the picture.
 */
export function preprocess(picture, region, mean, std) {
  const { size } = region;
  const content = resizeImage(cut(picture, region), size, size);
  const tensor = new Float32Array(3 * size * size);
  for (let channel = 0; channel < 3; channel++) {
    const table = Float32Array.from({ length: 256 }, (_, level) =>
      f32(f32(level - f32(mean[channel])) / f32(std[channel])));
    const plane = tensor.subarray(channel * size * size, (channel + 1) * size * size);
    for (let index = 0; index < plane.length; index++) {
      plane[index] = table[content.data[index * 3 + channel]];
    }
    clearOutside(plane, region);
  }
  return tensor;
}

/** The region of the picture as RGB; where it reaches outside, border pixels are repeated. */
export function cut(picture, { x0, y0, x1, y1 }) {
  const [width, height] = [x1 - x0, y1 - y0];
  const data = new Uint8Array(width * height * 3);
  const inside = (value, size) => Math.min(Math.max(value, 0), size - 1);
  let target = 0;
  for (let y = y0; y < y1; y++) {
    const row = inside(y, picture.height) * picture.width;
    for (let x = x0; x < x1; x++) {
      const source = (row + inside(x, picture.width)) * 4;
      data[target++] = picture.data[source];
      data[target++] = picture.data[source + 1];
      data[target++] = picture.data[source + 2];
    }
  }
  return { width, height, data };
}

/** Sets to 0 the input pixels whose centres lie outside of the picture. */
function clearOutside(plane, region) {
  const { size } = region;
  const edge = (value) => Math.min(Math.max(Math.ceil(f32(value - 0.5)), 0), size);
  const [left, top] = region.toInput([0, 0]).map(edge);
  const [right, bottom] = region.toInput([region.width, region.height]).map(edge);
  plane.fill(0, 0, top * size);
  plane.fill(0, bottom * size);
  for (let row = 0; row < size; row++) {
    plane.fill(0, row * size, row * size + left);
    plane.fill(0, row * size + right, (row + 1) * size);
  }
}
