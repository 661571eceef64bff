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
  const pairs = [];
  objects.forEach((a, index) => {
    for (const b of objects.slice(index + 1)) {
      const overlap = a.amodal.intersection(b.amodal);
      const [ofA, ofB] = [a, b].map((object) => overlap.intersection(object.visible));
      if (ofA.area === ofB.area) continue;
      const [front, back, cover] = ofA.area > ofB.area ? [a, b, ofA] : [b, a, ofB];
      const share = cover.without(back.visible).area / back.amodal.area;
      if (share >= least) pairs.push({ front: front.id, back: back.id, share });
    }
  });
  return pairs;
}
