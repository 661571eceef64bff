// SPDX-License-Identifier: Apache-2.0
// What can be taken home: the masks as PNG files in one archive, and a COCO file.

import { cocoFile } from "./coco.js";
import { zip } from "./zip.js";

/** Saves a COCO file of all objects that were found. */
export function saveCoco(picture, objects) {
  const { width, height } = picture.pixels;
  const content = cocoFile(picture.name, width, height, objects.map(
    ({ id, box, points, result }) => ({ ...result, id, box, points })));
  save(new Blob([JSON.stringify(content)], { type: "application/json" }),
    `${stem(picture.name)}_amodal.json`);
}

/** Saves an archive: for each object its visible and amodal mask, and the drawn picture. */
export async function saveMasks(picture, objects, drawn) {
  const files = [{ name: "overlay.png", data: await png(drawn) }];
  for (const { id, result } of objects) {
    for (const kind of ["visible", "amodal"]) {
      files.push({ name: `object_${id}_${kind}.png`, data: await png(maskCanvas(result[kind])) });
    }
  }
  save(new Blob([zip(files)], { type: "application/zip" }), `${stem(picture.name)}_masks.zip`);
}

/** A mask of the picture's size, white on black. */
function maskCanvas(mask) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: mask.width, height: mask.height });
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, mask.width, mask.height);
  const [width, height] = [mask.x1 - mask.x0, mask.y1 - mask.y0];
  if (!width || !height) return canvas;
  const window = new ImageData(width, height);
  mask.data.forEach((value, index) => {
    window.data.fill(255 * value, index * 4, index * 4 + 3);
    window.data[index * 4 + 3] = 255;
  });
  context.putImageData(window, mask.x0, mask.y0);
  return canvas;
}

async function png(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error("There is not enough memory to write the picture.");
  return new Uint8Array(await blob.arrayBuffer());
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function stem(name) {
  return name.replace(/\.[^.]*$/, "").replace(/[^\w.-]+/g, "_") || "picture";
}
