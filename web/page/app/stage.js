// SPDX-License-Identifier: Apache-2.0
// The picture with everything that lies on it, at the size of the screen.

import { canvasOf, colourOf, isLight, paintObject, paintPrior } from "./paint.js";

const HANDLE = 5; // half a side, in CSS pixels
const FONT = "600 12px system-ui, sans-serif";

/** The handles of a box: which edges each one moves; "move" moves them all. */
export const HANDLES = [
  ["x0", "y0"], ["y0"], ["x1", "y0"], ["x1"], ["x1", "y1"], ["y1"], ["x0", "y1"], ["x0"],
];

export function handlePlace([x0, y0, x1, y1], edges) {
  const x = edges.includes("x0") ? x0 : edges.includes("x1") ? x1 : (x0 + x1) / 2;
  const y = edges.includes("y0") ? y0 : edges.includes("y1") ? y1 : (y0 + y1) / 2;
  return [x, y];
}

export class Stage {
  constructor(canvas, store) {
    Object.assign(this, { canvas, store, picture: null, scale: 1, density: 1 });
    this.draft = null; // a box that is being drawn or changed: {id: number | null, box}
    this.cursor = null; // the keyboard's cross, [x, y]
    this.shows = { masks: true, prior: false };
    this.layers = new Map();
    this.requested = false;
    new ResizeObserver(() => this.fit()).observe(canvas.parentElement);
    store.addEventListener("change", () => this.draw());
  }

  setPicture(picture) {
    this.picture?.bitmap.close();
    Object.assign(this, { picture, draft: null, cursor: null });
    this.fit();
  }

  /** Makes the canvas as large as the room around it allows. */
  fit() {
    if (!this.picture) return;
    const room = this.canvas.parentElement.getBoundingClientRect();
    const { width, height } = this.picture.pixels;
    const most = Math.max(window.innerHeight * 0.72, 240);
    const shown = Math.min(room.width / width, most / height);
    this.density = Math.min(window.devicePixelRatio || 1, 2);
    this.scale = shown * this.density;
    this.canvas.style.width = `${width * shown}px`;
    this.canvas.style.height = `${height * shown}px`;
    this.canvas.width = Math.round(width * this.scale);
    this.canvas.height = Math.round(height * this.scale);
    this.layers.clear();
    this.draw();
  }

  /** CSS pixels per picture pixel. */
  get zoom() {
    return this.scale / this.density;
  }

  /** Where an event happened, in picture pixels. */
  toPicture({ clientX, clientY }) {
    const place = this.canvas.getBoundingClientRect();
    const { width, height } = this.picture.pixels;
    const clip = (value, limit) => Math.min(Math.max(value, 0), limit);
    return [
      clip((clientX - place.left) / place.width * width, width),
      clip((clientY - place.top) / place.height * height, height),
    ];
  }

  /** Draws before the screen is next renewed. */
  draw() {
    if (this.requested || !this.picture) return;
    this.requested = true;
    requestAnimationFrame(() => {
      this.requested = false;
      if (this.picture) this.paint(this.canvas, this.scale, this.density);
    });
  }

  /** The picture at its own size with the masks on it, for a download. */
  drawn() {
    const { width, height } = this.picture.pixels;
    const canvas = canvasOf(width, height);
    const context = canvas.getContext("2d");
    context.drawImage(this.picture.bitmap, 0, 0);
    const density = Math.max(Math.max(width, height) / 1000, 1);
    const paintings = this.store.done.map(({ id, result }) =>
      paintObject(id, result, 1, canvas, density));
    for (const { below } of paintings) context.drawImage(below, 0, 0);
    for (const { above } of paintings) context.drawImage(above, 0, 0);
    return canvas;
  }

  paint(canvas, scale, density) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture.bitmap, 0, 0, canvas.width, canvas.height);
    const { objects, selectedObject } = this.store;
    const painted = objects.filter(({ result, previous }) => result ?? previous);
    if (this.shows.masks) {
      for (const part of ["below", "above"]) {
        for (const object of painted) {
          context.globalAlpha = object.result ? 1 : 0.4;
          context.drawImage(this.painting(object, scale, density)[part], 0, 0);
        }
      }
      context.globalAlpha = 1;
    }
    const prior = selectedObject?.result?.prior;
    if (this.shows.prior && prior) {
      context.drawImage(this.cached(prior, () => paintPrior(prior, scale, canvas, density)), 0, 0);
    }
    context.scale(density, density);
    this.keepLayers(painted, prior);
    if (this.shows.masks) for (const object of painted) this.paintLabel(context, object);
    for (const object of objects) this.paintPrompts(context, object);
    if (this.draft?.id === null) {
      this.paintBox(context, this.draft.box, colourOf(this.store.nextId), true);
    }
    if (this.cursor) this.paintCursor(context);
  }

  painting({ id, result, previous }, scale, density) {
    const found = result ?? previous;
    return this.cached(found, () => paintObject(id, found, scale, this.canvas, density));
  }

  cached(key, make) {
    if (!this.layers.has(key)) this.layers.set(key, make());
    return this.layers.get(key);
  }

  keepLayers(painted, prior) {
    const used = new Set([prior, ...painted.map(({ result, previous }) => result ?? previous)]);
    for (const key of this.layers.keys()) if (!used.has(key)) this.layers.delete(key);
  }

  paintLabel(context, { id, result, previous }) {
    const found = result ?? previous;
    const [x0, y0, x1] = found.amodal.box.map((value) => value * this.zoom);
    if (!x1) return;
    const hidden = Math.round(found.rate * 100);
    const text = hidden ? `${id} · ${hidden} % hidden` : `${id}`;
    context.font = FONT;
    const width = context.measureText(text).width + 12;
    const left = Math.min(Math.max(x0, 0), this.canvas.width / this.density - width);
    const top = Math.max(y0 - 24, 0);
    context.fillStyle = colourOf(id);
    context.beginPath();
    context.roundRect(left, top, width, 20, 4);
    context.fill();
    context.fillStyle = isLight(id) ? "black" : "white";
    context.fillText(text, left + 6, top + 14);
  }

  paintPrompts(context, object) {
    const { id, points } = object;
    const chosen = id === this.store.selected;
    const box = this.draft?.id === id ? this.draft.box : object.box;
    if (box && chosen) this.paintBox(context, box, colourOf(id), true);
    else if (box && !object.result) this.paintBox(context, box, colourOf(id), false);
    if (chosen) for (const point of points) this.paintPoint(context, point);
  }

  paintBox(context, box, colour, handles) {
    const [x0, y0, x1, y1] = box.map((value) => value * this.zoom);
    context.lineWidth = 3.5;
    context.strokeStyle = "rgb(0 0 0 / 0.35)";
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.lineWidth = 1.5;
    context.strokeStyle = "white";
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    if (!handles) return;
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.fillStyle = "white";
    for (const edges of HANDLES) {
      const [x, y] = handlePlace([x0, y0, x1, y1], edges);
      context.beginPath();
      context.rect(x - HANDLE, y - HANDLE, 2 * HANDLE, 2 * HANDLE);
      context.fill();
      context.stroke();
    }
  }

  paintPoint(context, { x, y, on }) {
    const [left, top] = [x * this.zoom, y * this.zoom];
    context.beginPath();
    context.arc(left, top, 7, 0, 2 * Math.PI);
    context.fillStyle = on ? "#1a7f37" : "#c62828";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "white";
    context.stroke();
    context.beginPath();
    context.moveTo(left - 3.5, top);
    context.lineTo(left + 3.5, top);
    if (on) {
      context.moveTo(left, top - 3.5);
      context.lineTo(left, top + 3.5);
    }
    context.stroke();
  }

  paintCursor(context) {
    const [x, y] = this.cursor.map((value) => value * this.zoom);
    for (const [width, colour] of [[4, "rgb(0 0 0 / 0.5)"], [1.5, "white"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - 14, y);
      context.lineTo(x + 14, y);
      context.moveTo(x, y - 14);
      context.lineTo(x, y + 14);
      context.stroke();
    }
  }
}
