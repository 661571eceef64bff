// SPDX-License-Identifier: Apache-2.0
// Mouse, pen and touch on the picture: draw a box, change one, set points, choose an object.

import { HANDLES, handlePlace } from "./stage.js";

const CLICK = 4; // CSS pixels that a hand shakes
const REACH = { mouse: 9, pen: 12, touch: 22 }; // of a handle
export const LEAST_SIDE = 3; // of a box, in picture pixels

/** `tool()`: "box", "on" or "off"; `say(text)`: tells the user. */
export function listenToPointer(stage, store, tool, say) {
  const { canvas } = stage;
  let drag = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (!stage.picture || event.button > 0 || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    const start = stage.toPicture(event);
    const edges = tool() === "box" ? handleAt(stage, store, event) : null;
    const object = store.selectedObject;
    drag = {
      start, edges, at: [event.clientX, event.clientY], moved: false,
      id: edges ? object.id : null, box: edges ? object.box : [...start, ...start],
    };
    stage.cursor = null;
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!stage.picture) return;
    if (!drag) {
      canvas.style.cursor = cursorFor(stage, store, tool(), event);
      return;
    }
    const distance = Math.hypot(event.clientX - drag.at[0], event.clientY - drag.at[1]);
    drag.moved ||= distance > CLICK;
    if (!drag.moved || tool() !== "box") return;
    const box = draggedBox(drag, stage.toPicture(event), stage.picture.pixels);
    stage.draft = { id: drag.id, box };
    stage.draw();
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { moved, start, id } = drag;
    drag = null;
    const { draft } = stage;
    stage.draft = null;
    if (tool() !== "box") setPoint(store, start, tool() === "on", say);
    else if (!moved) choose(store, start, say);
    else if (draft && isLarge(draft.box)) {
      if (id === null) store.add({ box: draft.box });
      else store.change(id, { box: draft.box });
    } else say("That box is too small: drag across the whole object.");
    stage.draw();
  });

  canvas.addEventListener("pointercancel", () => {
    drag = null;
    stage.draft = null;
    stage.draw();
  });
}

export function isLarge([x0, y0, x1, y1]) {
  return x1 - x0 >= LEAST_SIDE && y1 - y0 >= LEAST_SIDE;
}

/** Adds a point to the selected object; without one, it begins a new object. */
export function setPoint(store, [x, y], on, say) {
  const object = store.selectedObject;
  if (object) store.change(object.id, { points: [...object.points, { x, y, on }] });
  else if (on) store.add({ points: [{ x, y, on }] });
  else say("Choose an object first: a point off the object corrects its mask.");
}

/** Selects the object whose visible mask lies under a point, the smallest one first. */
function choose(store, [x, y], say) {
  const under = store.done
    .filter(({ result }) => result.amodal.at(Math.floor(x), Math.floor(y)))
    .sort((a, b) => seen(b, x, y) - seen(a, x, y) || a.result.amodal.area - b.result.amodal.area);
  store.select(under[0]?.id ?? null);
  if (!under.length) say("Drag across an object to draw a box around what you see of it.");
}

function seen({ result }, x, y) {
  return result.visible.at(Math.floor(x), Math.floor(y));
}

/** The edges that the handle under the pointer moves; null: no handle there. */
function handleAt(stage, store, event) {
  const object = store.selectedObject;
  if (!object?.box) return null;
  const place = stage.canvas.getBoundingClientRect();
  const pointer = [event.clientX - place.left, event.clientY - place.top];
  const box = object.box.map((value) => value * stage.zoom);
  const reach = REACH[event.pointerType] ?? REACH.mouse;
  const near = HANDLES.map((edges) => {
    const [x, y] = handlePlace(box, edges);
    return { edges, distance: Math.hypot(x - pointer[0], y - pointer[1]) };
  }).sort((a, b) => a.distance - b.distance)[0];
  if (near.distance <= reach) return near.edges;
  return onBorder(box, pointer, reach / 2) ? ["move"] : null;
}

/** Whether a point lies on the line of a box; dragged there, the box moves as a whole. */
function onBorder([x0, y0, x1, y1], [x, y], reach) {
  const inside = x > x0 - reach && x < x1 + reach && y > y0 - reach && y < y1 + reach;
  const deep = x > x0 + reach && x < x1 - reach && y > y0 + reach && y < y1 - reach;
  return inside && !deep;
}

function cursorFor(stage, store, tool, event) {
  if (tool !== "box") return "crosshair";
  const edges = handleAt(stage, store, event);
  if (!edges) return "crosshair";
  const key = edges.join("");
  if (key === "move") return "move";
  if (key === "x0y0" || key === "x1y1") return "nwse-resize";
  if (key === "x1y0" || key === "x0y1") return "nesw-resize";
  return key[0] === "x" ? "ew-resize" : "ns-resize";
}

function draggedBox({ start, edges, box }, [x, y], { width, height }) {
  if (!edges) {
    return [
      Math.min(start[0], x), Math.min(start[1], y), Math.max(start[0], x), Math.max(start[1], y),
    ];
  }
  let [x0, y0, x1, y1] = box;
  if (edges[0] === "move") return shifted(box, x - start[0], y - start[1], width, height);
  if (edges.includes("x0")) x0 = x;
  if (edges.includes("x1")) x1 = x;
  if (edges.includes("y0")) y0 = y;
  if (edges.includes("y1")) y1 = y;
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
}

/** A box moved, and kept within the picture. */
export function shifted([x0, y0, x1, y1], dx, dy, width, height) {
  const stepX = Math.min(Math.max(dx, -x0), width - x1);
  const stepY = Math.min(Math.max(dy, -y0), height - y1);
  return [x0 + stepX, y0 + stepY, x1 + stepX, y1 + stepY];
}
