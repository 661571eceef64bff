# SPDX-License-Identifier: Apache-2.0
"""Renders the demo's clip with its exact visible and amodal masks (amodal_ros/demo_clip).

Needs `pip install mujoco` and the Debian packages sweethome3d-furniture (the models, CC0) and
libosmesa6 (draws without a screen). The same arguments give the same masks and, with the same
versions of MuJoCo and FFmpeg, the same clip.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    import numpy as np

FRAME_RATE = 12
SEED = 7


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Render the demo clip and its exact masks.")
    parser.add_argument("--out", type=Path, default=ROOT / "amodal_ros" / "demo_clip")
    parser.add_argument("--frames", type=int, default=48, help="number of frames (default 48)")
    parser.add_argument("--width", type=int, default=640, help="pixels; the height is 3/4 of it")
    parser.add_argument("--samples", type=int, default=32, help="light samples of a frame")
    parser.add_argument(
        "--library",
        type=Path,
        default=Path("/usr/share/sweethome3d/furniture/BlendSwap-CC-0.sh3f"),
        help="the CC0 furniture library (Debian package sweethome3d-furniture)",
    )
    return parser.parse_args(argv)


def render_clip(
    out: Path, library: Path, *, frames: int, hw: tuple[int, int], samples: int
) -> None:
    """Writes `clip.mp4`, `annotations.json` and `PROVENANCE.md` into `out`.

    Raises:
        AmodalError: MuJoCo or the library is missing.
    """
    from rich.progress import track as progress

    from amodal_ros.annotations.amodal_coco import AmodalCocoWriter
    from benchmarks.rendering import demo_scene
    from benchmarks.rendering.renderer import Lighting, SceneRenderer

    objects = demo_scene.load_objects(library)
    backdrop = demo_scene.backdrop(SEED)
    renderer = SceneRenderer(objects, backdrop, hw, demo_scene.VERTICAL_FOV, Lighting())
    info = {"description": "amodal_ros demo clip", "fps": FRAME_RATE, "licence": "CC0-1.0"}
    writer = AmodalCocoWriter(info, list(dict.fromkeys(item.category for item in objects)))
    radius = demo_scene.ball_radius(library)
    pictures = []
    for frame in progress(range(frames), description="Rendering"):
        demo_scene.pose(renderer, radius, frame / max(frames - 1, 1))
        pictures.append(renderer.colour(samples))
        image = writer.add_image("clip.mp4", hw, video_id=1, frame=frame)
        masks = zip(objects, renderer.amodal_masks(), renderer.visible_masks(), strict=True)
        for track, (item, amodal, visible) in enumerate(masks, start=1):
            if amodal.any():
                seen = visible & amodal
                writer.add_object(image, item.category, amodal, seen, track, item.name)
    renderer.close()
    out.mkdir(parents=True, exist_ok=True)
    write_video(out / "clip.mp4", pictures)
    writer.write(out / "annotations.json")
    (out / "PROVENANCE.md").write_text(provenance(demo_scene.catalogue_entries(library)))


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    """Encodes (H, W, 3) uint8 RGB pictures as H.264 (yuv420p)."""
    import av

    height, width = pictures[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "18", "preset": "veryslow"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def provenance(entries: dict[str, Any]) -> str:
    """The text that says where every model of the clip comes from."""
    rows = [
        f"| {name} | {entry.name} (`{entry.model_id}`) | {entry.creator} | CC0 1.0 |"
        for name, entry in entries.items()
    ]
    return "\n".join(
        [
            "# Where the demo clip comes from",
            "",
            "`clip.mp4` and `annotations.json` (exact visible and amodal masks) are rendered by",
            "`scripts/render_demo_clip.py`; table, wall and painting are procedural. The models",
            "come from the library `BlendSwap-CC-0.sh3f` of Sweet Home 3D (Debian package",
            "`sweethome3d-furniture`), originally from blendswap.com, all released under",
            "[CC0 1.0](https://creativecommons.org/publicdomain/zero/1.0/). So is the clip.",
            "",
            "| Object | Model | Author | Licence |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Renders the clip; returns the exit status."""
    arguments = parse_arguments(argv)
    from amodal_ros.errors import AmodalError

    hw = (arguments.width * 3 // 4, arguments.width)
    try:
        render_clip(
            arguments.out,
            arguments.library,
            frames=arguments.frames,
            hw=hw,
            samples=arguments.samples,
        )
    except AmodalError as error:
        print(f"render_demo_clip: {error}", file=sys.stderr)
        return 1
    print(f"Wrote {arguments.frames} frames to {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
