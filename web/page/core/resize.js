// SPDX-License-Identifier: Apache-2.0
// Resizing of images as `amodal_ros` does it: Pillow's bilinear filter by way of OpenCV's parts.
//
// A mask moves by up to 2 % of its area where a resize is off by a single grey level, so OpenCV's
// arithmetic is repeated here. An image is {width, height, data}, data RGB, 8 bits.

const CHANNELS = 3;

/** Resizes an image; see `amodal_ros` for why in this way. */
export function resizeImage(image, height, width) {
  if (image.height === height && image.width === width) return image;
  if (image.height <= height && image.width <= width) {
    const wide = linear(image, image.height, width, EXACT);
    return linear(wide, height, width, EXACT); // rounds after each axis
  }
  const smooth = smoothFor(image, height, width);
  if (smooth.height === 2 * height && smooth.width === 2 * width) {
    return areaAverage(smooth, height, width); // what OpenCV takes a linear halving for
  }
  return linear(smooth, height, width, FAST);
}

/** Rounds to the nearest whole number, halves to even. */
function roundEven(value) {
  const rounded = Math.floor(value + 0.5);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// OpenCV's linear filter of floats, rounded, has weights in single precision; that of bytes has
// whole ones of 11 bits, and cuts 4 + 16 bits off on its way.
const EXACT = {
  one: 1,
  half: 0.5 + 2 ** -12, // added to every level: what is half, but for rounding, is rounded up
  weight: (value) => value,
  mix: (top, bottom, w0, w1) => Math.floor(Math.fround(top * w0 + bottom * w1)),
};
const FAST = {
  one: 2048,
  half: 0,
  weight: (value) => roundEven(value * 2048),
  mix: (top, bottom, w0, w1) =>
    ((((top >> 4) * w0) >> 16) + (((bottom >> 4) * w1) >> 16) + 2) >> 2,
};

/** For each target pixel: the lower and upper source pixel, and their weights. */
function linearAxis(source, target, { one, weight }) {
  const axis = [];
  const scale = 1 / (target / source);
  for (let index = 0; index < target; index++) {
    const at = Math.fround(scale * (index + 0.5) - 0.5);
    const lower = Math.floor(at);
    if (lower < 0) axis.push([0, 0, one, 0]);
    else if (lower >= source - 1) axis.push([source - 1, source - 1, one, 0]);
    else {
      const rest = Math.fround(at - lower);
      axis.push([lower, lower + 1, weight(Math.fround(1 - rest)), weight(rest)]);
    }
  }
  return axis;
}

function linear(image, height, width, arithmetic) {
  const columns = linearAxis(image.width, width, arithmetic);
  const { half, mix } = arithmetic;
  const stride = width * CHANNELS;
  const wide = new Float32Array(image.height * stride);
  let index = 0;
  for (let row = 0; row < image.height; row++) {
    const start = row * image.width * CHANNELS;
    for (const [lower, upper, w0, w1] of columns) {
      const [left, right] = [start + lower * CHANNELS, start + upper * CHANNELS];
      for (let channel = 0; channel < CHANNELS; channel++) {
        const [one, other] = [image.data[left + channel], image.data[right + channel]];
        wide[index++] = (one + half) * w0 + (other + half) * w1;
      }
    }
  }
  const data = new Uint8Array(height * stride);
  index = 0;
  for (const [lower, upper, w0, w1] of linearAxis(image.height, height, arithmetic)) {
    const [top, bottom] = [lower * stride, upper * stride];
    for (let offset = 0; offset < stride; offset++) {
      data[index++] = mix(wide[top + offset], wide[bottom + offset], w0, w1);
    }
  }
  return { width, height, data };
}

/** Widens, along each axis that shrinks, the filter that linear interpolation will be. */
function smoothFor(image, height, width) {
  const ratios = [Math.max(image.height / height, 1), Math.max(image.width / width, 1)];
  const blocks = ratios.map((ratio) => Math.ceil(ratio / 2));
  const reduced = Math.max(...blocks) === 1 ? image : areaAverage(
    image, roundEven(image.height / blocks[0]), roundEven(image.width / blocks[1]),
  );
  const [rowTaps, columnTaps] = ratios.map((ratio, axis) => {
    const k = blocks[axis];
    const variance = (ratio ** 2 / 6 - (k ** 2 - 1) / 12) / k ** 2;
    const side = (variance - 1 / 6) / 2;
    return [Math.fround(side), Math.fround(1 - 2 * side)];
  });
  const { data } = reduced;
  const wide = threeTaps(
    data, new Float32Array(data.length), columnTaps, CHANNELS, reduced.width,
  );
  const filtered = new Uint8ClampedArray(data.length); // rounds halves to even, as OpenCV does
  threeTaps(wide, filtered, rowTaps, reduced.width * CHANNELS, reduced.height);
  return { ...reduced, data: filtered };
}

/** Filters lines of `length` values, `step` apart, with (side, middle, side); borders repeat. */
function threeTaps(data, result, [side, middle], step, length) {
  for (let index = 0; index < data.length; index++) {
    const place = Math.floor(index / step) % length;
    const before = data[place > 0 ? index - step : index];
    const after = data[place + 1 < length ? index + step : index];
    result[index] = data[index] * middle + Math.fround(before + after) * side;
  }
  return result;
}

/** For each target pixel the source pixels that it covers, and how much of each. */
function areaAxis(source, target) {
  const scale = source / target;
  return Array.from({ length: target }, (_, index) => {
    const [low, high] = [index * scale, Math.min((index + 1) * scale, source)];
    const parts = [];
    for (let pixel = Math.floor(low); pixel < high; pixel++) {
      const part = Math.min(pixel + 1, high) - Math.max(pixel, low);
      if (part > 1e-3) parts.push([pixel, Math.fround(part / Math.min(scale, source - low))]);
    }
    return parts;
  });
}

/** Averages over the area that each target pixel covers: OpenCV's INTER_AREA. */
function areaAverage(image, height, width) {
  const columns = areaAxis(image.width, width);
  const data = new Uint8ClampedArray(height * width * CHANNELS);
  const half = image.width === 2 * width && image.height === 2 * height; // halves are rounded up
  areaAxis(image.height, height).forEach((rows, row) => {
    const sums = new Float64Array(width * CHANNELS);
    for (const [y, weight] of rows) {
      let index = 0;
      for (const parts of columns) {
        for (let channel = 0; channel < CHANNELS; channel++) {
          let sum = 0;
          for (const [x, part] of parts) {
            sum += image.data[(y * image.width + x) * CHANNELS + channel] * part;
          }
          sums[index++] += sum * weight;
        }
      }
    }
    data.set(half ? sums.map((sum) => Math.floor(sum + 0.5)) : sums, row * width * CHANNELS);
  });
  return { width, height, data };
}
