// SPDX-License-Identifier: Apache-2.0
// From a file to pixels. Nothing is sent anywhere.

const MAX_PIXELS = 16e6; // what every browser's canvas can hold

/**
 * Reads a picture; its EXIF orientation is obeyed.
 *
 * @param {Blob} blob
 * @param {string} name for messages and downloads.
 * @returns {Promise<{name: string, bitmap: ImageBitmap, pixels: object, note: string}>}
 */
export async function readPicture(blob, name) {
  if (blob.size === 0) throw new Error(`${name}: the file is empty.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, {
      imageOrientation: "from-image", colorSpaceConversion: "none",
    });
  } catch {
    const kind = blob.type ? ` (${blob.type})` : "";
    throw new Error(`${name}${kind}: this browser cannot read it as a picture. JPEG, PNG, WebP,`
      + " AVIF and GIF work.");
  }
  const shrink = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const width = Math.max(Math.floor(bitmap.width * shrink), 1);
  const height = Math.max(Math.floor(bitmap.height * shrink), 1);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white"; // under transparent pixels
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const note = shrink === 1 ? ""
    : `Reduced from ${bitmap.width} × ${bitmap.height} to ${width} × ${height} pixels.`;
  bitmap.close();
  return { name, bitmap: await createImageBitmap(canvas), pixels: { width, height, data }, note };
}

/** The first picture among files that were dropped or pasted; null: none. */
export function pictureAmong(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find(({ type }) => type.startsWith("image/")) ?? files[0] ?? null;
}
