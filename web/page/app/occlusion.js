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

/**
 * How much a foot that is lower by half of the smaller object's height counts, and an outline
 * that goes on where the other's ends.
 */
const [FOOT, JUNCTION] = [0.75, 0.75];

/** An outline holds another one with this share of its pixels. */
const HOLDS = 0.95;

/** A thing lies on another that claims this share of its amodal mask as seen, and it does too. */
const LIES_ON = 0.9;

/**
 * Which object hides which: the rule of `amodal_ros/occlusion/pairs.py`, without depth.
 *
 * Where two amodal masks overlap, the object in front is the one of which more is seen there and
 * not of the other. The fewer pixels show it, and the more both claim, the less it counts. A little
 * less than the clearest masks count whose outline goes on where the other's ends, and whose foot
 * is lower; feet not where masks tell of two of which one's outline holds the other's. What
 * another claims nearly whole, though both show it, lies on that. What both claim belongs to the
 * one in front.
 *
 * @param {{id: number, visible: Mask, amodal: Mask}[]} objects
 * @param {number} least share of the hidden object's amodal mask, below which a pair is left out:
 *   masks are not exact at borders.
 * @returns {{front: number, back: number, share: number, mutual: boolean}[]} share: of `back`, that
 *   lies under what is seen of `front`; mutual: `back` hides a part of `front` too.
 */
export function occlusionOrder(objects, least = 0.01) {
  const [areas, boxes] = ["area", "box"].map((what) => objects.map(({ amodal }) => amodal[what]));
  const junctions = new Junctions(objects);
  const pairs = [];
  objects.forEach((a, i) => objects.slice(i + 1).forEach((b, k) => {
    const [areaA, areaB, boxA, boxB] = [areas, boxes].flatMap((of) => [of[i], of[i + 1 + k]]);
    const { ofA, ofB, ofBoth, overlap } = overlapCounts(a, b);
    if (!overlap) return;
    const smaller = Math.min(areaA, areaB);
    const masks = (ofA - ofB) / (ofA + ofB + ofBoth + Math.sqrt(smaller) / 2);
    const reach = Math.min(boxA[3] - boxA[1], boxB[3] - boxB[1]) / 2;
    const feet = masks && overlap >= HOLDS * smaller ? 0
      : Math.max(-1, Math.min((boxA[3] - boxB[3]) / reach, 1));
    const junction = junctions.towardsFirst(i, i + 1 + k);
    const towards = ofBoth >= LIES_ON * smaller ? areaB - areaA
      : masks + FOOT * feet + JUNCTION * junction;
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
