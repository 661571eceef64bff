// SPDX-License-Identifier: Apache-2.0
// Binary masks. Only the window that holds something is kept, as a large photo has many objects.

/** A mask of an image of `width` x `height`; `data` holds the 0 and 1 of the window [x0, x1). */
export class Mask {
  constructor(width, height, [x0, y0, x1, y1], data = null) {
    Object.assign(this, { width, height, x0, y0, x1: Math.max(x1, x0), y1: Math.max(y1, y0) });
    this.data = data ?? new Uint8Array((this.x1 - this.x0) * (this.y1 - this.y0));
  }

  /** The pixels whose centres a box contains; one that contains none marks the one it lies on. */
  static ofBox(box, width, height) {
    const [x0, x1] = coveredPixels(box[0], box[2], width);
    const [y0, y1] = coveredPixels(box[1], box[3], height);
    const mask = new Mask(width, height, [x0, y0, x1, y1]);
    mask.data.fill(1);
    return mask;
  }

  /** A mask that came through a message, which carries no methods. */
  static from(plain) {
    return Object.assign(Object.create(Mask.prototype), plain);
  }

  /** 0 or 1, in image coordinates; 0 outside of the window. */
  at(x, y) {
    if (x < this.x0 || x >= this.x1 || y < this.y0 || y >= this.y1) return 0;
    return this.data[(y - this.y0) * (this.x1 - this.x0) + x - this.x0];
  }

  get area() {
    let count = 0;
    for (let index = 0; index < this.data.length; index++) count += this.data[index];
    return count;
  }

  /** Tight half-open box; zeros when empty. */
  get box() {
    let [x0, y0, x1, y1, index] = [Infinity, Infinity, 0, 0, 0];
    for (let y = this.y0; y < this.y1; y++) {
      for (let x = this.x0; x < this.x1; x++) {
        if (!this.data[index++]) continue;
        if (x < x0) x0 = x;
        if (x >= x1) x1 = x + 1;
        if (y < y0) y0 = y;
        y1 = y + 1;
      }
    }
    return x1 ? [x0, y0, x1, y1] : [0, 0, 0, 0];
  }

  /** The mask whose value within a window is `combine(this, other)`. */
  combined(other, window, combine) {
    const mask = new Mask(this.width, this.height, window);
    let index = 0;
    for (let y = mask.y0; y < mask.y1; y++) {
      for (let x = mask.x0; x < mask.x1; x++) {
        mask.data[index++] = combine(this.at(x, y), other.at(x, y));
      }
    }
    return mask;
  }

  union(other) {
    const [x0, y0] = [Math.min(this.x0, other.x0), Math.min(this.y0, other.y0)];
    const [x1, y1] = [Math.max(this.x1, other.x1), Math.max(this.y1, other.y1)];
    return this.combined(other, [x0, y0, x1, y1], (a, b) => a | b);
  }

  /** What of this mask is not in the other. */
  without(other) {
    return this.combined(other, [this.x0, this.y0, this.x1, this.y1], (a, b) => a & ~b);
  }

  /** M_spec: the mask in a region's input frame, size x size of 0 and 1, nearest neighbour. */
  toInput(region) {
    const { size } = region;
    const tensor = new Float32Array(size * size);
    const under = (low, index) => Math.floor((index + 0.5) * (1 / region.scale) + low);
    const columns = Int32Array.from({ length: size }, (_, index) => under(region.x0, index));
    for (let row = 0; row < size; row++) {
      const y = under(region.y0, row);
      if (y < this.y0 || y >= this.y1) continue;
      for (let column = 0; column < size; column++) {
        tensor[row * size + column] = this.at(columns[column], y);
      }
    }
    return tensor;
  }
}

function coveredPixels(low, high, size) {
  [low, high] = [Math.max(low, 0), Math.min(high, size)];
  const [first, last] = [Math.ceil(low - 0.5), Math.ceil(high - 0.5)];
  if (first < last) return [first, last];
  const pixel = Math.min(Math.trunc((low + high) / 2), size - 1);
  return [pixel, pixel + 1];
}
