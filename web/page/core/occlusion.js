// SPDX-License-Identifier: Apache-2.0
// What is hidden, and by whom.

/** 1 - |visible| / |amodal|; 0 for an empty amodal mask. */
export function occlusionRate(visible, amodal) {
  const whole = amodal.area;
  return whole ? (whole - visible.area) / whole : 0;
}

/**
 * Which object hides which.
 *
 * Where two amodal masks overlap, one object lies in front of the other: the one whose visible
 * mask covers more of the overlap. It hides what of the overlap is its own visible part and not
 * the other's. Equal cover, or nothing hidden, says nothing.
 *
 * @param {{id: number, visible: Mask, amodal: Mask}[]} objects
 * @param {number} least share of the hidden object's amodal mask, below which a pair is left out:
 *   masks are not exact at borders.
 * @returns {{front: number, back: number, share: number}[]} share: hidden part of `back`.
 */
export function occlusionOrder(objects, least = 0.01) {
  const areas = objects.map(({ amodal }) => amodal.area);
  const pairs = [];
  objects.forEach((a, i) => objects.slice(i + 1).forEach((b, j) => {
    const [ofA, ofB, ofBoth] = overlapCounts(a, b);
    if (ofA === ofB) return;
    const [front, back, area] = ofA > ofB ? [a, b, areas[i + 1 + j]] : [b, a, areas[i]];
    const share = (Math.max(ofA, ofB) - ofBoth) / area;
    if (share >= least) pairs.push({ front: front.id, back: back.id, share });
  }));
  return pairs;
}

/** Pixels of the overlap of two amodal masks that are visible of a, of b, and of both. */
function overlapCounts(a, b) {
  let [ofA, ofB, ofBoth] = [0, 0, 0];
  for (let y = Math.max(a.amodal.y0, b.amodal.y0); y < Math.min(a.amodal.y1, b.amodal.y1); y++) {
    for (let x = Math.max(a.amodal.x0, b.amodal.x0); x < Math.min(a.amodal.x1, b.amodal.x1); x++) {
      if (!(a.amodal.at(x, y) && b.amodal.at(x, y))) continue;
      const [seenA, seenB] = [a.visible.at(x, y), b.visible.at(x, y)];
      ofA += seenA;
      ofB += seenB;
      ofBoth += seenA & seenB;
    }
  }
  return [ofA, ofB, ofBoth];
}
