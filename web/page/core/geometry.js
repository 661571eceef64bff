// SPDX-License-Identifier: Apache-2.0
// Boxes, and the square of the image that a model of mode `roi` sees.
//
// Coordinates are continuous: pixel i covers [i, i + 1). Python keeps boxes and points in float32;
// `f32` repeats its roundings, so that regions and prompts are equal to the last bit.

export const f32 = Math.fround;

const MAX_FACTOR = 2.2; // of the box's longer side: as far as training has shown such regions
const MAX_SHIFT = 0.08; // of the region's side

/**
 * A square of the image, scaled to the model's input.
 * `width`, `height`: of the image; `x0` to `y1`: the square in whole original pixels, which may
 * reach outside the image; `size`: side of the input.
 */
export class Region {
  constructor(width, height, [x0, y0, x1, y1], size) {
    Object.assign(this, { width, height, x0, y0, x1, y1, size });
  }

  /** The smallest square in whole pixels about the centre of a box that contains the box. */
  static about(width, height, box, size) {
    const [x0, y0, x1, y1] = checkBox(box, width, height);
    const side = Math.max(x1 - x0, y1 - y0);
    const left = Math.floor((x0 + x1 - side) / 2);
    const top = Math.floor((y0 + y1 - side) / 2);
    const length = Math.max(Math.ceil(x1) - left, Math.ceil(y1) - top, Math.ceil(side));
    return new Region(width, height, [left, top, left + length, top + length], size);
  }

  /** Input pixels per original pixel. */
  get scale() {
    return this.size / (this.x1 - this.x0);
  }

  /** Original pixels [x, y] to input pixels. */
  toInput([x, y]) {
    return [f32((x - this.x0) * this.scale), f32((y - this.y0) * this.scale)];
  }
}

/**
 * Chooses the square about a box, with room for M_spec.
 *
 * Its side is `factor` times the box's longer side. Where M_spec, usually the last amodal mask,
 * reaches beyond, the square moves towards it and then grows, within what training has shown.
 *
 * @param {number[]} box within the image.
 * @param {?number[]} priorBox box of M_spec when that is a mask, else null.
 */
export function objectRegion(width, height, box, priorBox, factor, size) {
  const longer = Math.max(box[2] - box[0], box[3] - box[1]);
  const centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  let side = factor * longer;
  if (priorBox) {
    let reach = 0;
    for (const axis of [0, 1]) {
      const low = Math.min(priorBox[axis], box[axis]);
      const high = Math.max(priorBox[axis + 2], box[axis + 2]);
      const room = Math.min(MAX_SHIFT * side, side / 2 - (box[axis + 2] - box[axis]) / 2);
      const step = stepTowards(centre[axis] - side / 2 - low, high - centre[axis] - side / 2);
      centre[axis] += Math.min(Math.max(step, -room), room);
      reach = Math.max(reach, centre[axis] - low, high - centre[axis]);
    }
    side = Math.max(side, Math.min(2 * reach, MAX_FACTOR * longer));
  }
  const half = side / 2;
  const [x, y] = centre;
  return Region.about(width, height, [x - half, y - half, x + half, y + half], size);
}

/** How far an interval moves that lacks so much at its low and at its high end. */
function stepTowards(low, high) {
  if (low > 0 && high > 0) return (high - low) / 2;
  return Math.max(high, 0) - Math.max(low, 0);
}

/** The box as float32; throws a RangeError that says what is wrong with it. */
export function checkBox(box, width, height) {
  const [x0, y0, x1, y1] = box.map(f32);
  let fault = null;
  if (![x0, y0, x1, y1].every(Number.isFinite)) fault = "not finite";
  else if (x1 < x0 || y1 < y0) fault = "inverted";
  else if (x1 === x0 || y1 === y0) fault = "zero area";
  else if (x1 <= 0 || y1 <= 0 || x0 >= width || y0 >= height) fault = "outside";
  if (fault) throw new RangeError(`box [${box}]: ${fault}, in an image of ${width}x${height}`);
  return [x0, y0, x1, y1];
}

export function clipBox([x0, y0, x1, y1], width, height) {
  const clip = (value, limit) => Math.min(Math.max(f32(value), 0), limit);
  return [clip(x0, width), clip(y0, height), clip(x1, width), clip(y1, height)];
}

/** Where M_spec is a box: sides times `factor`; one without area means the whole image. */
export function priorBox(box, factor, width, height) {
  const [x0, y0, x1, y1] = box.map(f32);
  if (x1 <= x0 || y1 <= y0) return [0, 0, width, height];
  const expand = (low, high) => {
    const centre = f32(f32(low + high) / 2);
    const half = f32(f32(high - low) * f32(factor / 2));
    return [f32(centre - half), f32(centre + half)];
  };
  const [[left, right], [top, bottom]] = [expand(x0, x1), expand(y0, y1)];
  return clipBox([left, top, right, bottom], width, height);
}
