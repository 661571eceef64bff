// SPDX-License-Identifier: Apache-2.0
// The column beside the picture: objects, who hides whom, how long it took.

import { colourOf } from "./paint.js";
import { guideOf } from "./store.js";

const STEPS = ["preprocess", "prefix", "prior", "suffix", "decoder", "postprocess", "total"];

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function swatch(id) {
  const made = element("span", { className: "swatch" });
  made.style.setProperty("--colour", colourOf(id));
  return made;
}

export function percent(share) {
  const value = share * 100;
  return `${value > 0 && value < 1 ? "< 1" : Math.round(value)} %`;
}

function milliseconds(value) {
  return value < 10 ? `${value.toFixed(1)} ms`
    : value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export class Panel {
  constructor(store) {
    this.store = store;
    store.addEventListener("change", () => this.render());
    this.render();
  }

  render() {
    const { objects, done, past } = this.store;
    byId("undo").disabled = !past.length;
    byId("clear").disabled = !objects.length;
    byId("save-masks").disabled = byId("save-coco").disabled = !done.length;
    byId("empty").hidden = objects.length > 0;
    this.keepFocus(() => byId("objects").replaceChildren(
      ...objects.map((object) => this.card(object))));
    this.renderOrder();
    this.renderTimings();
  }

  /** Renders anew without taking the focus from a button in the list. */
  keepFocus(render) {
    const key = document.activeElement?.dataset?.key;
    render();
    if (key) document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
  }

  card(object) {
    const { id, result, error } = object;
    const chosen = id === this.store.selected;
    const choose = element("button", {
      type: "button", className: "name", onclick: () => this.store.select(chosen ? null : id),
    }, swatch(id), `Object ${id}`);
    choose.dataset.key = `choose-${id}`;
    choose.setAttribute("aria-pressed", String(chosen));
    const rate = result && `${percent(result.rate)} hidden`;
    if (result) choose.append(element("span", { className: "rate" }, rate));
    else if (!error) choose.append(element("span", { className: "busy" }, "Segmenting ..."));
    const remove = element("button", {
      type: "button", className: "remove", title: "Remove", onclick: () => this.store.remove(id),
    }, "×");
    remove.dataset.key = `remove-${id}`;
    remove.setAttribute("aria-label", `Remove object ${id}`);
    const head = element("div", { className: "head" }, choose, remove);
    const item = element("li", { className: chosen ? "card chosen" : "card" }, head);
    if (result) item.append(shareBar(id, result.rate));
    if (error) item.append(element("p", { className: "problem" }, error));
    if (chosen && result) item.append(numbers(result));
    if (chosen && object.last) item.append(this.guide(object));
    return item;
  }

  /** What M_spec is made from, and the choice. */
  guide(object) {
    const { id, guide } = object;
    const set = element("fieldset", { className: "segmented small" },
      element("legend", {}, "Next guide"));
    for (const [value, text] of [["mask", "last mask"], ["box", "box"]]) {
      const input = element("input", {
        type: "radio", name: `guide-${id}`, value, checked: guide === value,
        onchange: () => this.store.change(id, { guide: value }),
      });
      input.dataset.key = `guide-${id}-${value}`;
      set.append(element("label", {}, input, element("span", {}, text)));
    }
    const moved = guide === "mask" && !guideOf(object);
    if (moved) set.append(element("small", {}, "The box has moved away: it guides for now."));
    return set;
  }

  renderOrder() {
    const pairs = this.store.hiding;
    byId("order-section").hidden = this.store.done.length < 2;
    byId("order").replaceChildren(...(pairs.length ? pairs.map(({ front, back, share, mutual }) =>
      element("li", {}, swatch(front), `Object ${front} hides ${percent(share)} of `, swatch(back),
        `object ${back}${mutual ? ", and is hidden by it elsewhere" : ""}`))
      : [element("li", { className: "empty" }, "Nobody hides another one.")]));
  }

  renderTimings() {
    const { timings } = this.store;
    byId("timings").hidden = !timings;
    if (!timings) return;
    byId("timings").tBodies[0].replaceChildren(...STEPS.map((step) => element(
      "tr", { className: step === "total" ? "total" : "" },
      element("th", { scope: "row" }, step),
      element("td", {}, milliseconds(timings[step] ?? 0)),
    )));
  }

  /** What was loaded, and where it runs. */
  showEngine({ engine, model, timings }) {
    const rows = [
      ["Runs on", engine.note ? `${engine.label} (${engine.note})` : engine.label],
      ["Model", `${model.name}, input ${model.inputSize}\u00a0×\u00a0${model.inputSize}`],
      ["Loaded in", milliseconds(timings.download)],
      ["Prepared in", milliseconds(timings.prepare)],
    ];
    byId("facts").replaceChildren(...rows.flatMap(([name, value]) =>
      [element("dt", {}, name), element("dd", {}, value)]));
  }
}

/** How much of the whole object is visible, drawn as on the picture. */
function shareBar(id, rate) {
  const bar = element("div", { className: "share" }, element("span"));
  bar.style.setProperty("--colour", colourOf(id));
  bar.style.setProperty("--visible", `${100 * (1 - rate)}%`);
  return bar;
}

function numbers({ visible, amodal, predictedIou, guided }) {
  const rows = [
    ["Visible", `${visible.area.toLocaleString("en")} px`],
    ["Whole object", `${amodal.area.toLocaleString("en")} px`],
    ["Model's own estimate (IoU)", predictedIou.toFixed(2)],
    ["Guide was", guided === "mask" ? "its last mask" : "its box"],
  ];
  return element("dl", { className: "numbers" }, ...rows.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}
