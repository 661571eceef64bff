// SPDX-License-Identifier: Apache-2.0
// Puts the page together.

import { saveCoco, saveMasks } from "./download.js";
import { listenToKeyboard } from "./keyboard.js";
import { ModelClient } from "./model.js";
import { Panel, percent } from "./panel.js";
import { pictureAmong, readPicture } from "./picture.js";
import { listenToPointer } from "./pointer.js";
import { Stage } from "./stage.js";
import { Store } from "./store.js";

// Our own pictures; `box`: an object that is partly hidden.
const SAMPLES = [
  { file: "samples/milk.jpg", name: "Ball and milk", box: [194, 459, 325, 628] },
  { file: "samples/teddy.jpg", name: "Mixer and bear", box: [487, 206, 782, 500] },
];
const WORKER_MS = 5000; // a service worker that takes longer is not waited for
const TOOL_KEYS = { b: "box", "+": "on", "-": "off" };

const byId = (id) => document.getElementById(id);
const tool = () => document.querySelector("input[name=tool]:checked").value;

function say(text) {
  byId("status").textContent = text;
}

/** Shows an error about "model" or "picture", until one of these goes well. */
function showError(about, error) {
  const place = byId("error");
  place.textContent = error.message ?? String(error);
  place.dataset.about = about;
  place.hidden = false;
}

function clearError(about) {
  if (byId("error").dataset.about === about) byId("error").hidden = true;
}

class Page {
  constructor() {
    this.model = new ModelClient((...given) => showProgress(...given));
    this.store = new Store((query) => this.segment(query));
    this.stage = new Stage(byId("stage"), this.store);
    this.panel = new Panel(this.store);
    this.suggestion = null;
    this.ready = null;
    this.opening = 0;
  }

  async segment(query) {
    let ready;
    do { // another engine may be chosen meanwhile
      ({ ready } = this);
      await ready.catch(() => {});
    } while (ready !== this.ready);
    await ready;
    return this.model.segment(query);
  }

  async start() {
    this.listen();
    listenToPointer(this.stage, this.store, tool, say);
    listenToKeyboard(this.stage, this.store, tool, say);
    const engine = new URLSearchParams(location.search).get("engine");
    if (["webgpu", "wasm"].includes(engine)) byId("engine").value = engine;
    this.load();
    await this.openSample(SAMPLES[0]);
  }

  /** Loads the model for the chosen engine; what is asked meanwhile waits. */
  load() {
    delete document.documentElement.dataset.ready;
    showProgress(0, 1, "Loading the model");
    clearError("model");
    const ready = this.model.load(byId("engine").value);
    this.ready = ready;
    ready.then((loaded) => {
      byId("loading").hidden = true;
      this.panel.showEngine(loaded);
      document.documentElement.dataset.ready = "true";
      if (!this.store.objects.length) say("Ready. Drag across an object.");
    }, (error) => {
      if (this.ready !== ready) return;
      byId("loading").hidden = true;
      showError("model", new Error(`The model could not be loaded: ${error.message}`));
    });
  }

  async openSample({ file, name, box }) {
    try {
      const response = await fetch(file);
      if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
      await this.open(await response.blob(), file.split("/").at(-1), box);
    } catch (error) {
      showError("picture", error);
    }
  }

  /** Shows another picture; the last one that was asked for wins. */
  async open(blob, name, suggestion = null) {
    const turn = ++this.opening;
    try {
      const picture = await readPicture(blob, name);
      if (turn !== this.opening) return;
      this.store.reset();
      this.suggestion = suggestion;
      byId("suggest").hidden = !suggestion;
      this.stage.setPicture(picture);
      this.model.setPicture(picture.pixels);
      const { width, height } = picture.pixels;
      byId("stage").setAttribute("aria-label", `Picture ${name}, ${width} by ${height} pixels`);
      clearError("picture");
      say(picture.note || `${name}, ${width} × ${height}. Drag across an object.`);
    } catch (error) {
      showError("picture", error);
    }
  }

  listen() {
    const { store, stage } = this;
    store.addEventListener("found", ({ detail: { id, result } }) => {
      const found = `${percent(result.rate)} hidden. ${relations(store, id)}`;
      say(`Object ${id}: ${result.amodal.box[2] ? found : "nothing found there."}`);
    });
    store.addEventListener("failed", ({ detail: { id, error } }) => say(`Object ${id}: ${error}`));
    on("undo", "click", () => store.undo());
    on("clear", "click", () => store.clear());
    on("suggest", "click", () => this.suggestion && store.add({ box: this.suggestion }));
    on("engine", "change", () => this.load());
    on("show-masks", "change", ({ target }) => show(stage, "masks", target.checked));
    on("show-prior", "change", ({ target }) => show(stage, "prior", target.checked));
    on("save-coco", "click", () => saveCoco(stage.picture, store.done));
    on("save-masks", "click", async () => {
      try {
        await saveMasks(stage.picture, store.done, stage.drawn());
      } catch (error) {
        showError("picture", error);
      }
    });
    this.listenForPictures();
    document.addEventListener("keydown", (event) => this.shortcut(event));
  }

  listenForPictures() {
    on("file", "change", ({ target }) => {
      const [file] = target.files;
      if (file) this.open(file, file.name);
      target.value = "";
    });
    const take = (transfer) => {
      const file = pictureAmong(transfer);
      if (file) this.open(file, file.name || "pasted.png");
      else showError("picture", new Error("That is no file with a picture."));
    };
    document.addEventListener("paste", (event) => take(event.clipboardData));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      byId("drop").hidden = false;
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) byId("drop").hidden = true;
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      byId("drop").hidden = true;
      take(event.dataTransfer);
    });
    byId("samples").append(...SAMPLES.map((sample) => {
      const image = Object.assign(document.createElement("img"), { src: sample.file, alt: "" });
      const button = Object.assign(document.createElement("button"), {
        type: "button", onclick: () => this.openSample(sample),
      });
      button.append(image, sample.name);
      return button;
    }));
  }

  shortcut(event) {
    if (event.target.matches("select, input:not([type=radio], [type=checkbox])")) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      this.store.undo();
      return;
    }
    const value = TOOL_KEYS[event.key.toLowerCase()];
    if (!value || event.ctrlKey || event.metaKey || event.altKey) return;
    document.querySelector(`input[name=tool][value=${value}]`).checked = true;
    say({ box: "Box.", on: "Point on the object.", off: "Point off the object." }[value]);
  }
}

/** Who hides an object, and whom it hides, in words. */
function relations({ hiding }, id) {
  const front = hiding.filter((pair) => pair.back === id);
  const back = hiding.filter((pair) => pair.front === id);
  return [
    ...front.map((pair) => `Object ${pair.front} hides ${percent(pair.share)} of it.`),
    ...back.map((pair) => `It hides ${percent(pair.share)} of object ${pair.back}.`),
  ].join(" ");
}

function on(id, type, listener) {
  byId(id).addEventListener(type, listener);
}

function show(stage, what, value) {
  stage.shows[what] = value;
  stage.draw();
}

function showProgress(done, total, what) {
  byId("loading").hidden = false;
  byId("progress-label").textContent = total > 1e5
    ? `${what}: ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB` : what;
  Object.assign(byId("progress"), { max: total, value: done });
}

/**
 * Where the host sends no headers for it, a service worker makes the page isolated: true when the
 * page is about to be loaded again with it.
 */
async function isolate() {
  if (window.crossOriginIsolated || !("serviceWorker" in navigator)) return false;
  const key = "isolating";
  if (sessionStorage.getItem(key)) return false; // tried: without threads, then
  sessionStorage.setItem(key, "1");
  try {
    await navigator.serviceWorker.register("sw.js");
    const late = new Promise((resolve) => setTimeout(resolve, WORKER_MS));
    if (!await Promise.race([navigator.serviceWorker.ready, late])) return false;
    location.reload();
    return true;
  } catch {
    return false; // no service workers here (a private window, plain http): without threads
  }
}

if (!window.browserLacks.length && !await isolate()) new Page().start();
