// SPDX-License-Identifier: Apache-2.0
// Whose outline goes on where the common border of two objects ends: the rule of
// `amodal_ros/occlusion/junctions.py`.

/** Lengths as parts of the side of a square as large as what is seen of the smaller object. */
const [NEAR, LEAST_NEAR_PX] = [0.025, 2];
const [LEG, LEAST_LEG_PX] = [0.1, 6];
const LEAST_BORDER_PX = 5;
const FULL_DEGREES = 40;

/** East, and on against the clock. */
const AROUND = [[1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1], [0, 1], [1, 1]];

/** Compares the outlines of objects `{visible, amodal}` where their borders end. */
export class Junctions {
  constructor(objects) {
    this.sides = objects.map(({ visible }) => Math.sqrt(visible.area));
    this.objects = objects;
    this.lines = [];
  }

  /** From -1 to 1; above 0: the outline of the first goes on, so it lies in front. */
  towardsFirst(first, second) {
    const side = Math.min(this.sides[first], this.sides[second]);
    const near = Math.max(LEAST_NEAR_PX, Math.round(NEAR * side));
    const leg = Math.max(LEAST_LEG_PX, Math.floor(LEG * side));
    if (!side || !this.touch(first, second, near)) return 0;
    const own = this.angle(first, second, near, leg);
    const others = this.angle(second, first, near, leg);
    if (own === null || others === null) return 0;
    return Math.max(-1, Math.min((own - others) / FULL_DEGREES, 1));
  }

  touch(first, second, near) {
    const [a, b] = [first, second].map((index) => this.objects[index].amodal.box);
    return [0, 1].every((axis) =>
      a[axis] - near < b[axis + 2] && b[axis] < a[axis + 2] + near);
  }

  /** Of an outline where its border with another object ends, in degrees; 180: straight. */
  angle(index, other, near, leg) {
    const { visible } = this.objects[other];
    const disc = discOf(near);
    let [sum, ends] = [0, 0];
    for (const line of this.outlines(index)) {
      if (line.length < 4 * leg) continue;
      const beside = line.map(([x, y]) => disc.some(([dx, dy]) => visible.at(x + dx, y + dy)));
      for (const [start, length] of runs(joined(beside, Math.floor(leg / 2)))) {
        if (length < LEAST_BORDER_PX) continue;
        for (const [end, ahead] of [[start, -1], [start + length - 1, 1]]) {
          sum += turn(line, end, ahead * leg, -ahead * Math.min(leg, length));
          ends += 1;
        }
      }
    }
    return ends ? sum / ends : null;
  }

  outlines(index) {
    this.lines[index] ??= outlinesOf(this.objects[index].visible);
    return this.lines[index];
  }
}

/** Offsets of a disc, as OpenCV's elliptic kernel has them. */
function discOf(radius) {
  const found = [];
  for (let dy = -radius; dy <= radius; dy++) {
    const reach = Math.round(Math.sqrt(radius * radius - dy * dy));
    for (let dx = -reach; dx <= reach; dx++) found.push([dx, dy]);
  }
  return found;
}

/** The closed outline, as a list of pixels, around each part of a mask; holes have none. */
function outlinesOf(mask) {
  const [left, top, right, bottom] = mask.box;
  const width = right - left;
  const known = new Uint8Array(width * (bottom - top));
  const found = [];
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      if (!mask.at(x, y) || known[(y - top) * width + x - left]) continue;
      found.push(followed(mask, x, y));
      const open = [[x, y]];
      known[(y - top) * width + x - left] = 1;
      while (open.length) {
        const [px, py] = open.pop();
        for (const [dx, dy] of AROUND) {
          const place = (py + dy - top) * width + px + dx - left;
          if (!mask.at(px + dx, py + dy) || known[place]) continue;
          known[place] = 1;
          open.push([px + dx, py + dy]);
        }
      }
    }
  }
  return found;
}

/** The outline of the part whose first pixel, row by row, is given (border following, Suzuki). */
function followed(mask, x0, y0) {
  const isSet = (x, y, way) => mask.at(x + AROUND[way][0], y + AROUND[way][1]);
  const line = [];
  let way = -1;
  for (let turned = 0; turned < 8 && way < 0; turned++) {
    if (isSet(x0, y0, (12 - turned) % 8)) way = (12 - turned) % 8;
  }
  if (way < 0) return [[x0, y0]];
  const [lastX, lastY] = [x0 + AROUND[way][0], y0 + AROUND[way][1]];
  let [x, y] = [x0, y0];
  for (;;) {
    line.push([x, y]);
    do way = (way + 1) % 8; while (!isSet(x, y, way));
    const [nextX, nextY] = [x + AROUND[way][0], y + AROUND[way][1]];
    if (nextX === x0 && nextY === y0 && x === lastX && y === lastY) return line;
    [x, y, way] = [nextX, nextY, (way + 4) % 8];
  }
}

/** Start and length of each run of a closed line of flags that is not set all around. */
function runs(flags) {
  const count = flags.length;
  const found = [];
  flags.forEach((flag, start) => {
    if (!flag || flags[(start + count - 1) % count]) return;
    let length = 1;
    while (flags[(start + length) % count]) length += 1;
    found.push([start, length]);
  });
  return found;
}

/** With the gaps of at most so many points filled. */
function joined(flags, gap) {
  const filled = [...flags];
  for (const [start, length] of runs(flags.map((flag) => !flag))) {
    if (length > gap) continue;
    for (let k = start; k < start + length; k++) filled[k % flags.length] = true;
  }
  return filled;
}

/** The angle at a point of a closed line between the points so far before and behind it. */
function turn(line, at, one, other) {
  const point = (k) => line[((k % line.length) + line.length) % line.length];
  const [x, y] = point(at);
  const [[ax, ay], [bx, by]] = [one, other].map((step) => point(at + step))
    .map(([px, py]) => [px - x, py - y]);
  const lengths = Math.hypot(ax, ay) * Math.hypot(bx, by);
  const cosine = lengths ? (ax * bx + ay * by) / lengths : 1;
  return (Math.acos(Math.max(-1, Math.min(cosine, 1))) * 180) / Math.PI;
}
