// SPDX-License-Identifier: Apache-2.0
// The decoder's prompts: points and the two corners of a box, with `segment_anything`'s labels.

import { f32 } from "./geometry.js";

const BOX_CORNERS = [2, 3];
const PADDING = -1; // of the point that stands for "no box"

/**
 * Prompts of one object in its input frame.
 *
 * With SAM and MobileSAM the points come first, then the corners or, without a box, one padding
 * point; with SAM 2 the corners come first, then the points, and always a padding point.
 *
 * @param {{x: number, y: number, on: boolean}[]} points original pixels.
 * @param {?number[]} box original pixels.
 * @returns {{coords: Float32Array, labels: Float32Array}} (P, 2) and (P,).
 */
export function decoderPrompts(points, box, region, family) {
  const marks = points.map(({ x, y, on }) => [region.toInput([f32(x), f32(y)]), on ? 1 : 0]);
  const corners = !box ? [] : [
    [region.toInput([f32(box[0]), f32(box[1])]), BOX_CORNERS[0]],
    [region.toInput([f32(box[2]), f32(box[3])]), BOX_CORNERS[1]],
  ];
  const sam2 = family === "sam2";
  const all = sam2 ? [...corners, ...marks] : [...marks, ...corners];
  if (sam2 || !box) all.push([[0, 0], PADDING]);
  return {
    coords: Float32Array.from(all.flatMap(([coords]) => coords)),
    labels: Float32Array.from(all.map(([, label]) => label)),
  };
}

/** Throws a RangeError unless the points lie in the picture and, without a box, one is on. */
export function checkPoints(points, box, width, height) {
  if (points.length && !box && !points.some(({ on }) => on)) {
    throw new RangeError("points: at least one must be on the object");
  }
  for (const { x, y } of points) {
    if (!(x >= 0 && x <= width && y >= 0 && y <= height)) {
      throw new RangeError(`point (${x}, ${y}): outside of the image of ${width}x${height}`);
    }
  }
}
