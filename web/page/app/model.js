// SPDX-License-Identifier: Apache-2.0
// The worker that runs the model, as promises.

import { Mask } from "../core/masks.js";

const MASKS = ["visible", "amodal", "rawAmodal", "prior"];

export class ModelClient {
  /** `onProgress(done, total, what)` hears how far loading is. */
  constructor(onProgress) {
    this.onProgress = onProgress;
    this.waiting = new Map();
    this.picture = null;
    this.count = 0;
    this.worker = null;
  }

  /**
   * Starts a worker with an engine, in place of an earlier one; resolves to what it became. What
   * the earlier one has not answered is asked again.
   */
  load(engine) {
    this.worker?.terminate();
    this.waiting.get("load")?.reject(new Error("Another engine was chosen."));
    this.waiting.delete("load");
    const unanswered = [...this.waiting.values()].map(({ message }) => message);
    this.worker = new Worker(new URL("../engine/worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.receive(data);
    this.worker.onerror = (event) => {
      const error = new Error(event.message || "The browser could not start the worker.");
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    };
    const ready = this.ask("load", { type: "load", engine });
    if (this.picture) this.setPicture(this.picture);
    for (const message of unanswered) this.worker.postMessage(message);
    return ready;
  }

  setPicture(picture) {
    this.picture = picture;
    this.worker?.postMessage({ type: "picture", picture });
  }

  /** Segments one object of the picture that was set last; see core/segmenter.js. */
  async segment(query) {
    const id = ++this.count;
    const { found, timings } = await this.ask(id, { type: "segment", id, query });
    for (const name of MASKS) found[name] = Mask.from(found[name]);
    return { ...found, timings };
  }

  ask(id, message) {
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, message });
      this.worker.postMessage(message);
    });
  }

  receive(data) {
    if (data.type === "progress") {
      this.onProgress(data.done, data.total, data.what);
      return;
    }
    const id = data.id ?? "load";
    const asked = this.waiting.get(id);
    this.waiting.delete(id);
    if (data.type === "failed") asked?.reject(new Error(data.message));
    else asked?.resolve(data);
  }
}
