// SPDX-License-Identifier: Apache-2.0
// The picture by keyboard alone: place a box or a point, choose, delete, undo.

import { LEAST_SIDE, setPoint, shifted } from "./pointer.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 0.01; // of the picture's longer side

/** Listens on the picture; `tool()`, `say(text)` as in pointer.js. */
export function listenToKeyboard(stage, store, tool, say) {
  const editing = () => {
    if (stage.draft) return stage.draft;
    const object = store.selectedObject;
    if (object?.box) return { id: object.id, box: object.box };
    return { id: null, box: middleBox(stage.picture.pixels) };
  };

  const moveBox = ([dx, dy], event) => {
    const { width, height } = stage.picture.pixels;
    const step = stepOf(event, width, height);
    const { id, box } = editing();
    let [x0, y0, x1, y1] = box;
    if (event.shiftKey) {
      x1 = Math.min(Math.max(x1 + dx * step, x0 + LEAST_SIDE), width);
      y1 = Math.min(Math.max(y1 + dy * step, y0 + LEAST_SIDE), height);
    } else [x0, y0, x1, y1] = shifted(box, dx * step, dy * step, width, height);
    stage.draft = { id, box: [x0, y0, x1, y1] };
    say(describe(stage.draft.box));
  };

  const moveCursor = ([dx, dy], event) => {
    const { width, height } = stage.picture.pixels;
    const step = stepOf(event, width, height);
    const [x, y] = stage.cursor ?? [width / 2, height / 2];
    stage.cursor = [
      Math.min(Math.max(x + dx * step, 0), width), Math.min(Math.max(y + dy * step, 0), height),
    ];
    say(`Cross at ${stage.cursor.map(Math.round).join(", ")}.`);
  };

  const commands = {
    n() {
      stage.draft = { id: null, box: middleBox(stage.picture.pixels) };
      say(`New box. ${describe(stage.draft.box)} Arrows move it, with Shift they change its size,`
        + " Enter asks the model.");
    },
    Enter() {
      if (tool() !== "box") {
        const { width, height } = stage.picture.pixels;
        stage.cursor ??= [width / 2, height / 2];
        setPoint(store, stage.cursor, tool() === "on", say);
      } else if (stage.draft) {
        const { id, box } = stage.draft;
        stage.draft = null;
        if (id === null) store.add({ box });
        else store.change(id, { box });
      } else commands.n();
    },
    Escape() {
      if (!stage.draft && !stage.cursor) store.select(null);
      Object.assign(stage, { draft: null, cursor: null });
    },
    Delete() {
      if (!store.selectedObject) return;
      const { id } = store.selectedObject;
      store.remove(id);
      say(`Object ${id} removed.`);
    },
    "]": () => next(1),
    "[": () => next(-1),
  };
  commands[" "] = commands.Enter;
  commands.Backspace = commands.Delete;

  function next(step) {
    const ids = store.objects.map(({ id }) => id);
    if (!ids.length) return;
    const index = ids.indexOf(store.selected);
    const to = index < 0 ? 0 : (index + step + ids.length) % ids.length;
    store.select(ids[to]);
    say(`Object ${ids[to]} chosen.`);
  }

  stage.canvas.addEventListener("keydown", (event) => {
    if (!stage.picture || event.ctrlKey || event.metaKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) (tool() === "box" ? moveBox : moveCursor)(arrow, event);
    else if (commands[event.key]) commands[event.key]();
    else return;
    event.preventDefault();
    stage.draw();
  });
}

/** With Alt one pixel. */
function stepOf(event, width, height) {
  return event.altKey ? 1 : Math.max(Math.round(STEP * Math.max(width, height)), 1);
}

function middleBox({ width, height }) {
  return [width * 0.375, height * 0.375, width * 0.625, height * 0.625].map(Math.round);
}

function describe([x0, y0, x1, y1]) {
  const [x, y, w, h] = [x0, y0, x1 - x0, y1 - y0].map(Math.round);
  return `Box from ${x}, ${y}, ${w} wide, ${h} high.`;
}
