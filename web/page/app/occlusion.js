// SPDX-License-Identifier: Apache-2.0
// What is hidden, and by whom.

import { Junctions } from "./junctions.js";

/** 1 - |visible| / |amodal|; 0 for an empty amodal mask. */
export function occlusionRate(visible, amodal) {
  const whole = amodal.area;
  return whole ? (whole - visible.area) / whole : 0;
}

/**
 * Two objects hide each other where the weaker side hides this share of what both hide, and each of
 * them that share of the other's amodal mask.
 */
const [MUTUAL, MUTUAL_LEAST] = [0.25, 0.03];

/** How much each witness counts: those of `amodal_ros/occlusion/pair_weights.json`. */
export const WEIGHTS = {
  seen: 0.8558,
  covers: 1.4085,
  explains: 0.6528,
  inside: 2.0274,
  size: 0.4064,
  lies_on: 2.1344,
  feet: 1.6317,
  goes_on: 1.243,
  beside: 0.9685,
};

/** A thing lies on another that claims this share of its amodal mask as seen, and it does too. */
const LIES_ON = 0.9;

/** Logarithm of how many times as large an object is, beyond which it tells no more. */
const LARGEST_SIZE = 3;

/**
 * Which object hides which: the rule of `amodal_ros/occlusion/pairs.py`, without depth.
 *
 * Nine witnesses are heard: who is seen where two amodal masks overlap, who reaches lower in the
 * image, whose outline goes on where their border ends, which one is smaller and lies on the other.
 * How much each counts was learned. What both claim belongs to the one in front.
 *
 * @param {{id: number, visible: Mask, amodal: Mask}[]} objects
 * @param {number} least share of the hidden object's amodal mask, below which a pair is left out:
 *   masks are not exact at borders.
 * @returns {{front: number, back: number, share: number, mutual: boolean}[]} share: of `back`, that
 *   lies under what is seen of `front`; mutual: `back` hides a part of `front` too.
 */
export function occlusionOrder(objects, least = 0.01) {
  const areas = objects.map(({ amodal }) => amodal.area);
  const junctions = new Junctions(objects);
  const pairs = [];
  objects.forEach((a, i) => objects.slice(i + 1).forEach((b, k) => {
    const [areaA, areaB] = [areas[i], areas[i + 1 + k]];
    const { ofA, ofB, ofBoth, overlap } = overlapCounts(a, b);
    if (!overlap) return;
    const counts = { ofA, ofB, ofBoth, overlap };
    const towards = odds(witnesses(a, b, counts, junctions.between(i, i + 1 + k)));
    if (!towards) return;
    const [front, back, own, others, frontArea, backArea] = towards > 0
      ? [a, b, ofA, ofB, areaA, areaB] : [b, a, ofB, ofA, areaB, areaA];
    // Where neither is seen, something else lies over both.
    const share = (own + ofBoth || (others ? 0 : overlap)) / backArea;
    if (share < least) return;
    const mutual = Math.min(own, others) > MUTUAL * (own + others)
      && own > MUTUAL_LEAST * backArea && others > MUTUAL_LEAST * frontArea;
    pairs.push({ front: front.id, back: back.id, share, mutual });
  }));
  return pairs;
}

/** Nine numbers by name, each above 0 where it speaks for a: `amodal_ros/occlusion/witnesses.py`. */
function witnesses(a, b, { ofA, ofB, ofBoth, overlap }, { goesOn, beside }) {
  const [areaA, areaB] = [a.amodal.area, b.amodal.area];
  const [hiddenA, hiddenB] = [a, b].map((one) => one.amodal.area - one.visible.area);
  const [boxA, boxB] = [a.amodal.box, b.amodal.box];
  const smaller = Math.min(areaA, areaB);
  const reach = Math.min(boxA[3] - boxA[1], boxB[3] - boxB[1]) / 2;
  const size = Math.log(areaA / areaB);
  return {
    seen: (ofA - ofB) / Math.max(overlap, 1),
    covers: (ofA - ofB) / smaller,
    explains: ofA / Math.max(hiddenB, 1) - ofB / Math.max(hiddenA, 1),
    inside: overlap / areaA - overlap / areaB,
    size: Math.max(-LARGEST_SIZE, Math.min(size, LARGEST_SIZE)),
    lies_on: ofBoth >= LIES_ON * smaller ? -Math.sign(size) : 0,
    feet: Math.max(-1, Math.min((boxA[3] - boxB[3]) / reach, 1)),
    goes_on: goesOn,
    beside,
  };
}

/** Logarithm of the odds that the first lies in front; 0 where only sizes and places differ. */
function odds(said) {
  if (![said.seen, said.lies_on, said.feet, said.goes_on, said.beside].some(Boolean)) return 0;
  return Object.entries(WEIGHTS).reduce((sum, [name, weight]) => sum + weight * said[name], 0);
}

/** Pixels of two amodal masks' overlap, and of it those seen of a alone, of b alone, of both. */
function overlapCounts(a, b) {
  let [ofA, ofB, ofBoth, overlap] = [0, 0, 0, 0];
  for (let y = Math.max(a.amodal.y0, b.amodal.y0); y < Math.min(a.amodal.y1, b.amodal.y1); y++) {
    for (let x = Math.max(a.amodal.x0, b.amodal.x0); x < Math.min(a.amodal.x1, b.amodal.x1); x++) {
      if (!(a.amodal.at(x, y) && b.amodal.at(x, y))) continue;
      const [seenA, seenB] = [a.visible.at(x, y), b.visible.at(x, y)];
      overlap += 1;
      ofA += seenA & ~seenB;
      ofB += seenB & ~seenA;
      ofBoth += seenA & seenB;
    }
  }
  return { ofA, ofB, ofBoth, overlap };
}
