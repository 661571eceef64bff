// SPDX-License-Identifier: Apache-2.0
// Writes an archive of files that are compressed already (PNG): stored, not deflated.

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const VERSION = 20;
const DATE_1980 = 0x21; // a date that every reader accepts

/**
 * @param {{name: string, data: Uint8Array}[]} files names in ASCII.
 * @returns {Uint8Array} the archive.
 */
export function zip(files) {
  const [parts, directory] = [[], []];
  let offset = 0;
  for (const { name, data } of files) {
    const bytes = new TextEncoder().encode(name);
    const common = [
      ["u16", VERSION], ["u16", 0], ["u16", 0], ["u16", 0], ["u16", DATE_1980],
      ["u32", crc32(data)], ["u32", data.length], ["u32", data.length],
      ["u16", bytes.length], ["u16", 0],
    ];
    const local = record([["u32", LOCAL], ...common]);
    const central = record([
      ["u32", CENTRAL], ["u16", VERSION], ...common,
      ["u16", 0], ["u16", 0], ["u16", 0], ["u32", 0], ["u32", offset],
    ]);
    parts.push(local, bytes, data);
    directory.push(central, bytes);
    offset += local.length + bytes.length + data.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record([
    ["u32", END], ["u16", 0], ["u16", 0], ["u16", files.length], ["u16", files.length],
    ["u32", size], ["u32", offset], ["u16", 0],
  ]);
  return joined([...parts, ...directory, end]);
}

/** Little-endian fields. */
function record(fields) {
  const bytes = [];
  for (const [type, value] of fields) {
    for (let index = 0; index < (type === "u16" ? 2 : 4); index++) {
      bytes.push((value >>> (8 * index)) & 0xff);
    }
  }
  return Uint8Array.from(bytes);
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

const CRC = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(data) {
  let value = 0xffffffff;
  for (const byte of data) value = CRC[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
