// SPDX-License-Identifier: Apache-2.0
// Draws masks as `amodal_ros` does: visible part tinted, hidden part hatched, amodal outline.

const PALETTE = [
  [230, 80, 60], [60, 150, 240], [70, 190, 90], [240, 170, 40],
  [170, 90, 220], [40, 200, 200], [240, 110, 180], [150, 150, 60],
];
const VISIBLE_OPACITY = 0.45;
const HIDDEN_OPACITY = 0.2;
const HATCH_OPACITY = 0.9;
const HATCH_PERIOD = 8; // of the screen, as are the following
const HATCH_WIDTH = 2;
const OUTLINE = 2;
const OUTLINE_STEPS = 16; // directions in which the mask is moved to draw it

/** CSS colour of an object. */
export function colourOf(id, opacity = 1) {
  return `rgb(${PALETTE[(id - 1) % PALETTE.length].join(" ")} / ${opacity})`;
}

/** Whether text on an object's colour is better black than white. */
export function isLight(id) {
  const [r, g, b] = PALETTE[(id - 1) % PALETTE.length];
  return 0.2126 * (r / 255) ** 2.2 + 0.7152 * (g / 255) ** 2.2 + 0.0722 * (b / 255) ** 2.2 > 0.18;
}

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(Math.round(width), 1);
  canvas.height = Math.max(Math.round(height), 1);
  return canvas;
}

const stencils = new WeakMap();

/** A mask's window as a canvas that is opaque where the mask is set. */
function stencil(mask) {
  if (!stencils.has(mask)) {
    const [width, height] = [mask.x1 - mask.x0, mask.y1 - mask.y0];
    const canvas = canvasOf(width, height);
    if (width && height) {
      const image = new ImageData(width, height);
      for (let index = 0; index < mask.data.length; index++) {
        image.data[4 * index + 3] = 255 * mask.data[index];
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
    }
    stencils.set(mask, canvas);
  }
  return stencils.get(mask);
}

/** The mask in a layer of the screen's size, at `scale` screen pixels per picture pixel. */
function drawStencil(context, mask, scale, dx = 0, dy = 0) {
  context.drawImage(stencil(mask), mask.x0 * scale + dx, mask.y0 * scale + dy,
    (mask.x1 - mask.x0) * scale, (mask.y1 - mask.y0) * scale);
}

function filled(mask, scale, { width, height }, fill) {
  const layer = canvasOf(width, height);
  const context = layer.getContext("2d");
  drawStencil(context, mask, scale);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = fill;
  context.fillRect(0, 0, width, height);
  return layer;
}

/** A line around a mask, outside of it. */
function outline(mask, scale, { width, height }, colour, thickness) {
  const layer = canvasOf(width, height);
  const context = layer.getContext("2d");
  for (let step = 0; step < OUTLINE_STEPS; step++) {
    const angle = 2 * Math.PI * step / OUTLINE_STEPS;
    drawStencil(context, mask, scale, thickness * Math.cos(angle), thickness * Math.sin(angle));
  }
  context.globalCompositeOperation = "destination-out";
  drawStencil(context, mask, scale);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return layer;
}

function hatching(colour, density) {
  const size = HATCH_PERIOD * density;
  const tile = canvasOf(size, size);
  const context = tile.getContext("2d");
  context.strokeStyle = colour;
  context.lineWidth = HATCH_WIDTH * density / Math.SQRT2;
  context.beginPath();
  for (const shift of [-size, 0, size]) {
    context.moveTo(shift - 1, size + 1);
    context.lineTo(shift + size + 1, -1);
  }
  context.stroke();
  return context.createPattern(tile, "repeat");
}

/**
 * One object's masks as two layers of the screen's size: the visible part, and what goes above the
 * visible parts of all objects, for it is hidden there: hatching and outline.
 *
 * @param size {width, height} in screen pixels, `density` of them per CSS pixel.
 */
export function paintObject(id, { visible, amodal }, scale, size, density) {
  const below = filled(visible, scale, size, colourOf(id, VISIBLE_OPACITY));
  const hidden = amodal.without(visible);
  const above = filled(hidden, scale, size, colourOf(id, HIDDEN_OPACITY));
  const context = above.getContext("2d");
  context.globalCompositeOperation = "source-over";
  const hatch = hatching(colourOf(id, HATCH_OPACITY), density);
  context.drawImage(filled(hidden, scale, size, hatch), 0, 0);
  context.drawImage(outline(amodal, scale, size, colourOf(id), OUTLINE * density), 0, 0);
  return { below, above };
}

/** M_spec as a layer: a yellow line on a dark one, for any picture. */
export function paintPrior(mask, scale, size, density) {
  const layer = outline(mask, scale, size, "rgb(0 0 0 / 0.6)", 4 * density);
  const context = layer.getContext("2d");
  context.globalCompositeOperation = "source-over";
  context.drawImage(outline(mask, scale, size, "#ffd54a", 2 * density), 0, 0);
  return layer;
}
