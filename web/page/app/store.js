// SPDX-License-Identifier: Apache-2.0
// The objects of the page, what is done with them, and the way back.

import { occlusionOrder, occlusionRate } from "./occlusion.js";

const LEAST_OVERLAP = 0.5; // IoU of the old and the new box, below which the last mask says nothing
const MOST_UNDONE = 50;

/**
 * An object: {id, box, points, guide, last, result, previous, error}.
 *
 * guide: "mask" where the last amodal mask becomes M_spec, "box" where the box does.
 * last: the box and amodal mask that were found last, or null.
 * result: what the model found, null while it is at work; previous: what it had found before.
 */
export class Store extends EventTarget {
  constructor(segment) {
    super();
    this.segment = segment;
    this.objects = [];
    this.selected = null;
    this.past = [];
    this.nextId = 1;
    this.timings = null;
    this.queue = [];
    this.working = false;
  }

  get selectedObject() {
    return this.objects.find(({ id }) => id === this.selected) ?? null;
  }

  get done() {
    return this.objects.filter(({ result }) => result);
  }

  /** Who hides whom; computed once for each state of the objects. */
  get hiding() {
    if (this.order?.of !== this.objects) {
      const objects = this.done.map(({ id, result }) => ({ id, ...result }));
      this.order = { of: this.objects, pairs: occlusionOrder(objects) };
    }
    return this.order.pairs;
  }

  add({ box = null, points = [] }) {
    this.remember();
    const id = this.nextId++;
    this.selected = id;
    this.objects = [
      ...this.objects, { id, box, points, guide: "mask", last: null, result: null, error: null },
    ];
    this.enqueue(id);
  }

  /** Changes box, points or guide of an object and asks the model again. */
  change(id, changes) {
    this.remember();
    const { result, previous } = this.objects.find((object) => object.id === id);
    this.put(id, { ...changes, result: null, error: null, previous: result ?? previous });
    this.enqueue(id);
  }

  remove(id) {
    this.remember();
    this.objects = this.objects.filter((object) => object.id !== id);
    if (this.selected === id) this.selected = this.objects.at(-1)?.id ?? null;
    this.changed();
  }

  clear() {
    if (!this.objects.length) return;
    this.remember();
    this.objects = [];
    this.selected = null;
    this.changed();
  }

  /** Takes the last step back. */
  undo() {
    const before = this.past.pop();
    if (!before) return;
    [this.objects, this.selected] = before;
    for (const { id, result, error } of this.objects) if (!result && !error) this.enqueue(id);
    this.changed();
  }

  /** Forgets everything: another picture. */
  reset() {
    Object.assign(this, { objects: [], selected: null, past: [], nextId: 1, timings: null });
    this.queue = [];
    this.changed();
  }

  select(id) {
    this.selected = id;
    this.changed();
  }

  remember() {
    this.past.push([this.objects, this.selected]);
    if (this.past.length > MOST_UNDONE) this.past.shift();
  }

  put(id, changes) {
    this.objects = this.objects.map((object) =>
      (object.id === id ? { ...object, ...changes } : object));
  }

  enqueue(id) {
    if (!this.queue.includes(id)) this.queue.push(id);
    this.changed();
    this.work();
  }

  /** Asks the model for one object after the other; an answer that came too late is dropped. */
  async work() {
    if (this.working) return;
    this.working = true;
    while (this.queue.length) {
      const id = this.queue.shift();
      const asked = this.objects.find((object) => object.id === id);
      if (!asked || asked.result) continue;
      const current = () => this.objects.includes(asked);
      try {
        const { box, points } = asked;
        const prior = guideOf(asked);
        const found = await this.segment({ box, points, prior });
        const rate = occlusionRate(found.visible, found.amodal);
        const result = { ...found, rate, guided: prior ? "mask" : "box" };
        if (!current()) continue;
        this.timings = found.timings;
        this.put(id, { result, last: { box, amodal: found.amodal } });
        this.announce("found", this.objects.find((object) => object.id === id));
      } catch (error) {
        if (!current()) continue;
        this.put(id, { error: error.message });
        this.announce("failed", this.objects.find((object) => object.id === id));
      }
      this.changed();
    }
    this.working = false;
  }

  changed() {
    this.announce("change", null);
  }

  announce(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * The mask that becomes M_spec: the last amodal one, unless the box has gone elsewhere since.
 * null: M_spec is made from the box.
 */
export function guideOf({ box, guide, last }) {
  if (guide !== "mask" || !last || !last.amodal.box[2]) return null;
  if (box && last.box && boxIou(box, last.box) < LEAST_OVERLAP) return null;
  return last.amodal;
}

/** Intersection over union of two boxes. */
export function boxIou(a, b) {
  const area = ([x0, y0, x1, y1]) => Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
  const shared = area([
    Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3]),
  ]);
  const union = area(a) + area(b) - shared;
  return union > 0 ? shared / union : 0;
}
