// SPDX-License-Identifier: Apache-2.0
// Masks as COCO writes them: run lengths in its text form, and a file of the kind `amodal_coco`.

/** {size, counts} of a mask, as `pycocotools` encodes it: runs down the columns, 0 first. */
export function encodeRle(mask) {
  const runs = [];
  let [value, length] = [0, 0];
  for (let x = 0; x < mask.width; x++) {
    for (let y = 0; y < mask.height; y++) {
      const next = mask.at(x, y);
      if (next !== value) {
        runs.push(length);
        [value, length] = [next, 0];
      }
      length++;
    }
  }
  runs.push(length);
  return { size: [mask.height, mask.width], counts: runsAsText(runs) };
}

/** From the fourth on a run stands as its difference to the run before the last. */
function runsAsText(runs) {
  let text = "";
  runs.forEach((run, index) => {
    let rest = index > 2 ? run - runs[index - 2] : run;
    let more = true;
    while (more) {
      let group = rest & 0x1f;
      rest >>= 5;
      more = group & 0x10 ? rest !== -1 : rest !== 0;
      if (more) group |= 0x20;
      text += String.fromCharCode(group + 48);
    }
  });
  return text;
}

const xywh = ([x0, y0, x1, y1]) => [x0, y0, x1 - x0, y1 - y0];

/**
 * A COCO file of one picture: `segmentation` is the amodal mask, `visible_mask` the visible one,
 * `prompt` what was asked for.
 *
 * @param objects {id, box, points, visible, amodal, rate, predictedIou} each.
 */
export function cocoFile(fileName, width, height, objects) {
  return {
    info: { description: "amodal_ros: visible and amodal masks" },
    images: [{ id: 1, file_name: fileName, width, height }],
    annotations: objects.map(({ id, box, points, visible, amodal, rate, predictedIou }) => ({
      id,
      image_id: 1,
      category_id: 1,
      segmentation: encodeRle(amodal),
      visible_mask: encodeRle(visible),
      bbox: xywh(amodal.box),
      visible_bbox: xywh(visible.box),
      area: amodal.area,
      occlusion_rate: rate,
      predicted_iou: predictedIou,
      prompt: { box, points: points.map(({ x, y, on }) => [x, y, on ? 1 : 0]) },
      iscrowd: 0,
    })),
    categories: [{ id: 1, name: "object" }],
  };
}
