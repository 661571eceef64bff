// SPDX-License-Identifier: Apache-2.0
// Says what a browser lacks. In the JavaScript of old browsers, for it must run in them.
(function () {
  "use strict";
  // The smallest module that holds an instruction of WebAssembly SIMD.
  var simd = new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253,
    15, 253, 98, 11
  ]);

  function hasModuleWorkers() {
    var asked = false;
    try {
      new Worker("app/check.js", { get type() { asked = true; return "module"; } }).terminate();
    } catch (error) {
      // An old browser may refuse such a worker; the question was asked before, or not.
    }
    return asked;
  }

  function missing() {
    var found = [];
    if (!("noModule" in HTMLScriptElement.prototype)) found.push("JavaScript modules");
    if (typeof WebAssembly !== "object" || !WebAssembly.validate(simd)) {
      found.push("WebAssembly with SIMD");
    }
    if (typeof createImageBitmap !== "function") found.push("createImageBitmap");
    if (typeof ResizeObserver !== "function") found.push("ResizeObserver");
    if (typeof Worker !== "function" || !hasModuleWorkers()) found.push("module workers");
    if (typeof CanvasRenderingContext2D !== "function"
      || !CanvasRenderingContext2D.prototype.roundRect) {
      found.push("rounded rectangles on a canvas");
    }
    return found;
  }

  window.browserLacks = missing();
  if (!window.browserLacks.length) return;
  document.addEventListener("DOMContentLoaded", function () {
    var place = document.getElementById("unsupported");
    place.textContent = "This browser is too old for this page: it lacks "
      + window.browserLacks.join(", ") + ". Chrome or Edge 113, Firefox 114, Safari 16.4 and newer"
      + " ones work.";
    place.hidden = false;
    document.querySelector("main").hidden = true;
  });
}());
