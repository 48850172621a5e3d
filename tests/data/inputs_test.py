#!/usr/bin/env python3
"""Every kind of photo and mask that `limewash prepare` reads, written with PIL and NumPy, against the pixels that a
person expects of it.  inputs_test.py LIMEWASH REPOSITORY"""

import io
import json
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np
from PIL import Image

import numpy_pictures as pictures
import numpy_prepare as expected

HEIGHT, WIDTH = 48, 64  # the square is as large as the samples: nothing is scaled
ORIENTATION = 0x0112


def scene():
    """Smooth in the most part, so that lossy files come close to it."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    photo = np.stack([40 + 3 * x, 60 + 2 * y, 200 - x - y], axis=2)
    photo[10:30, 5:25] = (180, 60, 30)
    return photo.astype(np.uint8)


def wall():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[6:40, 9:50] = True
    mask[14:20, 20:33] = False
    return mask


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block


def photo_kinds():
    """Name -> (bytes, expected RGB as upright, tolerance)."""
    rgb = scene()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    grey, alpha = rgb[..., 0], (4 * x).astype(np.uint8)
    grey3 = np.repeat(grey[..., None], 3, axis=2)
    deep = (rgb.astype(np.uint16) * 257 + (x * 3 + y)[..., None] % 100).clip(0, 65535).astype(np.uint16)
    deep_alpha = alpha.astype(np.uint16) * 257
    flat = np.repeat(np.repeat(rgb[::8, ::8], 8, axis=0), 8, axis=1)
    colors, indices = np.unique(flat.reshape(-1, 3), axis=0, return_inverse=True)
    indices = indices.reshape(HEIGHT, WIDTH).astype(np.uint8)
    inks = np.stack([255 - rgb[..., 0], 255 - rgb[..., 1], 255 - rgb[..., 2], (2 * y).astype(np.uint8)], axis=2)
    inks_rgb = pictures.inks_to_rgb(inks)
    palette_chunk = pictures.chunk(b"PLTE", colors.astype(np.uint8).tobytes())
    index_alpha = (np.arange(len(colors)) * 7 % 256).astype(np.uint8)
    transparency = pictures.chunk(b"tRNS", index_alpha.tobytes())
    bit = (grey > 100).astype(np.uint8)
    bits = np.repeat(255 * bit[..., None], 3, axis=2)
    multiplied = ((rgb.astype(int) * alpha[..., None].astype(int) + 127) // 255).astype(np.uint8)
    image = Image.fromarray(rgb)
    kinds = {
        "rgb.png": (encoded(image, "PNG"), rgb, 0),
        "named_jpg_but_png.jpg": (encoded(image, "PNG"), rgb, 0),
        "grey.png": (pictures.png(grey, 0, 8), grey3, 0),
        "grey_alpha.png": (pictures.png(np.stack([grey, alpha], axis=2), 4, 8), pictures.over(grey3, alpha, 255), 0),
        "rgba.png": (pictures.png(np.dstack([rgb, alpha]), 6, 8), pictures.over(rgb, alpha, 255), 0),
        "palette.png": (pictures.png(indices, 3, 8, palette_chunk), flat, 0),
        "palette_transparent.png": (pictures.png(indices, 3, 8, palette_chunk + transparency),
                                    pictures.over(flat, index_alpha[indices], 255), 0),
        "one_bit.png": (pictures.png(bit, 0, 1), bits, 0),
        "grey16.png": (pictures.png(deep[..., 0], 0, 16),
                       np.repeat(pictures.to_eight_bits(deep[..., :1]), 3, axis=2), 0),
        "rgb16.png": (pictures.png(deep, 2, 16), pictures.to_eight_bits(deep), 0),
        "rgba16.png": (pictures.png(np.dstack([deep, deep_alpha]), 6, 16),
                       pictures.over(pictures.to_eight_bits(deep), alpha, 255), 0),
        "interlaced.png": (pictures.png(rgb, 2, 8, interlaced=True), rgb, 0),
        "444.jpg": (encoded(image, "JPEG", quality=100, subsampling=0), rgb, 3),
        "420.jpg": (encoded(image, "JPEG", quality=95), None, 2),
        "progressive.jpg": (encoded(image, "JPEG", quality=90, progressive=True, subsampling=0), None, 2),
        "grey.jpg": (encoded(Image.fromarray(grey), "JPEG", quality=100), grey3, 2),
        "inks.jpg": (encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0), inks_rgb, 4),
        "lossless.webp": (encoded(image, "WEBP", lossless=True), rgb, 0),
        "lossless_alpha.webp": (encoded(Image.fromarray(np.dstack([rgb, alpha])), "WEBP", lossless=True, exact=True),
                                pictures.over(rgb, alpha, 255), 0),
        "lossy.webp": (encoded(image, "WEBP", quality=90), None, 1),
        "rgb.tif": (encoded(image, "TIFF"), rgb, 0),
        "lzw.tiff": (encoded(image, "TIFF", compression="tiff_lzw"), rgb, 0),
        "deflate.tif": (encoded(image, "TIFF", compression="tiff_adobe_deflate"), rgb, 0),
        "packbits.tif": (encoded(Image.fromarray(grey), "TIFF", compression="packbits"), grey3, 0),
        "two_pages.tif": (encoded(image, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))]), rgb, 0),
        "jpeg_inside.tif": (encoded(image, "TIFF", compression="jpeg", quality=95), None, 3),
        "one_bit.tif": (encoded(Image.fromarray(bit == 1), "TIFF"), bits, 0),
        "big_endian.tif": (pictures.tiff(deep, 2, 16, ">"), pictures.to_eight_bits(deep), 0),
        "rgb16.tif": (pictures.tiff(deep, 2, 16), pictures.to_eight_bits(deep), 0),
        "grey16.tif": (pictures.tiff(deep[..., 0], 1, 16),
                       np.repeat(pictures.to_eight_bits(deep[..., :1]), 3, axis=2), 0),
        "white_is_zero.tif": (pictures.tiff(255 - grey, 0), grey3, 0),
        "tiled.tif": (pictures.tiff(rgb, 2, tile=16), rgb, 0),
        "tiled_planes.tif": (pictures.tiff(rgb, 2, tile=32, planar=True), rgb, 0),
        "planes16.tif": (pictures.tiff(deep, 2, 16, planar=True), pictures.to_eight_bits(deep), 0),
        "inks.tif": (pictures.tiff(inks, 5), inks_rgb, 1),
        "palette.tif": (pictures.tiff(indices, 3, palette=np.pad(colors, ((0, 256 - len(colors)), (0, 0)))), flat, 0),
        "alpha.tif": (pictures.tiff(np.dstack([rgb, alpha]), 2, extra_sample=2), pictures.over(rgb, alpha, 255), 1),
        "alpha_multiplied.tif": (pictures.tiff(np.dstack([multiplied, alpha]), 2, extra_sample=1),
                                 pictures.over(rgb, alpha, 255), 1),
        "grey_alpha.tif": (pictures.tiff(np.dstack([grey, alpha]), 1, extra_sample=2),
                           pictures.over(grey3, alpha, 255), 0),
        "fourth_channel.tif": (pictures.tiff(np.dstack([rgb, alpha]), 2, extra_sample=0), rgb, 0),
    }
    for name, (data, pixels, tolerance) in list(kinds.items()):
        if pixels is None:
            kinds[name] = (data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), tolerance)
    for n in range(1, 9):
        stored = np.ascontiguousarray(pictures.turned(rgb, {6: 8, 8: 6}.get(n, n)))
        turned = Image.fromarray(stored)
        kinds[f"turned{n}.png"] = (encoded(turned, "PNG", exif=exif(n)), rgb, 0)
        kinds[f"turned{n}.jpg"] = (encoded(turned, "JPEG", quality=100, subsampling=0, exif=exif(n)), rgb, 3)
        kinds[f"turned{n}.webp"] = (encoded(turned, "WEBP", lossless=True, exif=exif(n)), rgb, 0)
        kinds[f"turned{n}.tif"] = (pictures.tiff(stored, 2, orientation=n), rgb, 0)
    return kinds


def soft_kinds(threshold):
    """Name -> (bytes or {file: bytes}, expected wall)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    mask = wall()
    soft = np.where(mask, 60 + 4 * x, 10 + x).clip(0, 255).astype(np.uint8)
    deep = (soft.astype(np.uint16) * 257).astype(np.uint16)
    deep[0, :8] = threshold * 65535 + np.arange(-4, 4)
    alpha = (255 - 2 * x).astype(np.uint8)
    is_wall = soft > threshold * 255
    binary = mask.astype(np.uint8)
    double = np.repeat(np.repeat(binary, 2, axis=0), 2, axis=1)
    half = binary[::2, ::2]
    color = np.dstack([soft, soft - soft // 16, soft - soft // 4])
    luminance = (color.astype(int) @ (299, 587, 114) + 500) // 1000
    left, right = mask & (x < 30), mask & (x >= 25)
    stored = np.ascontiguousarray(pictures.turned(255 * binary, 8))
    return {
        "soft.png": (pictures.png(soft, 0, 8), is_wall),
        "soft_interlaced.png": (pictures.png(soft, 0, 8, interlaced=True), is_wall),
        "soft16.png": (pictures.png(deep, 0, 16), deep > threshold * 65535),
        "soft16.tif": (pictures.tiff(deep, 1, 16), deep > threshold * 65535),
        "soft.tif": (pictures.tiff(soft, 1, tile=16), is_wall),
        "soft_white_is_zero.tif": (pictures.tiff(255 - soft, 0), is_wall),
        "soft.webp": (encoded(Image.fromarray(soft).convert("RGB"), "WEBP", lossless=True), is_wall),
        "color.png": (pictures.png(color, 2, 8), luminance > threshold * 255),
        "alpha.png": (pictures.png(np.dstack([np.full_like(soft, 255), alpha]), 4, 8), alpha > threshold * 255),
        "rgba.png": (pictures.png(np.dstack([color, np.where(x < 48, 255, 0)]), 6, 8),
                     (luminance > threshold * 255) & (x < 48)),
        "ones.png": (pictures.png(binary, 0, 8), mask),
        "ones16.png": (pictures.png(binary, 0, 16), mask),
        "one_bit.png": (pictures.png(binary, 0, 1), mask),
        "one_bit.tif": (pictures.tiff(binary, 1, 1), mask),
        "lossy.jpg": (encoded(Image.fromarray(255 * binary), "JPEG", quality=100), mask),
        "double.png": (pictures.png(255 * double, 0, 8), mask),
        "half.png": (pictures.png(255 * half, 0, 8), np.repeat(np.repeat(half, 2, axis=0), 2, axis=1) == 1),
        "turned.png": (encoded(Image.fromarray(stored), "PNG", exif=exif(6)), mask),
        "several": ({"a.png": pictures.png(255 * left, 0, 8), "b.tif": pictures.tiff(255 * right, 1)}, mask),
    }


def label_kinds():
    """The same with the classes 3, 7 and 300."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    mask = wall()
    labels = np.where(mask, np.where(x < 30, 3, 7), (x + y) % 3).astype(np.uint8)
    many = np.where(mask, np.where(x < 30, 300, 7), 301 + (x + y) % 3).astype(np.uint16)
    colors = pictures.chunk(b"PLTE", bytes(range(24)))
    double = np.repeat(np.repeat(labels, 2, axis=0), 2, axis=1)
    palette = np.arange(768).reshape(256, 3) % 256
    return {
        "grey.png": (pictures.png(labels, 0, 8), mask),
        "four_bits.png": (pictures.png(labels, 0, 4), mask),
        "palette.png": (pictures.png(labels, 3, 8, colors), mask),
        "palette_four_bits.png": (pictures.png(labels, 3, 4, colors, interlaced=True), mask),
        "grey16.png": (pictures.png(many, 0, 16), mask),
        "equal_channels.png": (pictures.png(np.dstack([labels] * 3), 2, 8), mask),
        "grey.tif": (pictures.tiff(labels, 1, tile=16), mask),
        "grey16.tif": (pictures.tiff(many, 1, 16, ">"), mask),
        "white_is_zero.tif": (pictures.tiff(labels, 0), mask),
        "palette.tif": (pictures.tiff(labels, 3, palette=palette), mask),
        "lossless.webp": (encoded(Image.fromarray(np.dstack([labels] * 3)), "WEBP", lossless=True), mask),
        "double.png": (pictures.png(double, 0, 8), mask),
        "with_one.png": (pictures.png(np.where(mask, 3, 1), 0, 8), mask),
    }


def refused_label_kinds():
    labels = wall().astype(np.uint8) * 3
    return {
        "lossy.jpg": (encoded(Image.fromarray(labels), "JPEG"), "compressed with loss"),
        "lossy.webp": (encoded(Image.fromarray(labels).convert("RGB"), "WEBP"), "compressed with loss"),
        "color.png": (pictures.png(np.dstack([labels, labels, labels + 1]), 2, 8), "is in colour"),
        "float.tif": (pictures.tiff(labels, 1, 32, sample_format=3), "32 bits floating point"),
    }


def prepare(limewash, folder, images, masks, *settings):
    command = [limewash, "prepare", "--images", images, "--out", folder, "--size", str(HEIGHT), "--json"]
    if masks:
        command += ["--masks", masks]
    for setting in ("wall_share=[0.01,1]", *settings):
        command += ["--set", f"prepare.{setting}"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def samples(dataset):
    """Id -> everything of the sample."""
    found = {}
    for entry in json.loads((dataset / "index.json").read_text())["shards"]:
        with h5py.File(dataset / entry["file"]) as shard:
            for i, name in enumerate(shard["id"]):
                found[name.decode()] = {key: shard[key][i] for key in ("image", "mask", "core", "caption")}
    return found


def rejections(dataset):
    return {one["photo"]: one["reason"] + ": " + one["detail"]
            for one in json.loads((dataset / "index.json").read_text())["rejections"]}


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def check_photos(limewash, folder):
    kinds = photo_kinds()
    mask = pictures.png(255 * wall(), 0, 8)
    for name, (data, _, _) in kinds.items():
        write(folder / "images" / name, data)
        write((folder / "masks" / name).with_suffix(".png"), mask)
    report = prepare(limewash, folder / "out", folder / "images", folder / "masks")
    assert report["kept"] == len(kinds), rejections(folder / "out")
    for name, sample in samples(folder / "out").items():
        _, pixels, tolerance = kinds[name]
        off = np.abs(sample["image"].astype(int) - expected.centre_square(pixels)).max()
        assert off <= tolerance, (name, off)
    print(f"{len(kinds)} kinds of photo")


def check_masks(limewash, folder, kinds, *settings):
    photo = encoded(Image.fromarray(scene()), "PNG")
    for name, (data, _) in kinds.items():
        stem = pathlib.Path(name).stem + "_" + pathlib.Path(name).suffix[1:]
        write(folder / "images" / f"{stem}.png", photo)
        files = data if isinstance(data, dict) else {pathlib.Path(name).suffix: data}
        for file, content in files.items():
            # A mask stands under its photo's name whatever its own ending; the content tells the format.
            path = folder / "masks" / stem / file if isinstance(data, dict) else folder / "masks" / f"{stem}.png"
            write(path, content)
    report = prepare(limewash, folder / "out", folder / "images", folder / "masks", *settings)
    assert report["kept"] == len(kinds), rejections(folder / "out")
    found = samples(folder / "out")
    for name, (_, mask) in kinds.items():
        sample = found[pathlib.Path(name).stem + "_" + pathlib.Path(name).suffix[1:] + ".png"]
        assert (sample["mask"] == 255 * expected.centre_square(mask)).all(), name
        assert (sample["core"] == 255 * expected.centre_square(expected.erode(mask))).all(), name
    print(f"{len(kinds)} kinds of mask with {settings}")


def check_refused_labels(limewash, folder):
    photo = encoded(Image.fromarray(scene()), "PNG")
    kinds = refused_label_kinds()
    for name, (data, _) in kinds.items():
        write(folder / "images" / f"{name}.png", photo)
        write(folder / "masks" / f"{name}.png", data)
    write(folder / "images" / "good.png", photo)
    write(folder / "masks" / "good.png", pictures.png(wall() * 3, 0, 8))
    prepare(limewash, folder / "out", folder / "images", folder / "masks", "mask_classes=[3]")
    found = rejections(folder / "out")
    for name, (_, words) in kinds.items():
        assert found[f"{name}.png"].startswith("unreadable mask: ") and words in found[f"{name}.png"], found
    assert len(found) == len(kinds)


def check_sources(limewash, folder):
    """The same photos through a folder, a glob and lists, with captions and second masks."""
    photo, mask = encoded(Image.fromarray(scene()), "PNG"), pictures.png(255 * wall(), 0, 8)
    for name in ("b/2.png", "a.png", "b/1.png"):
        write(folder / "images" / name, photo)
        write(folder / "masks" / name, mask)
        write(folder / "second" / name, mask)
        write((folder / "captions" / name).with_suffix(".txt"), f"photo {name} – größer\n".encode())
    write(folder / "images" / "unreadable_caption.png", photo)
    write(folder / "masks" / "unreadable_caption.png", mask)
    write(folder / "captions" / "unreadable_caption.txt", b"caf\xe9")
    settings = f"captions={folder / 'captions'}", f"second_masks={folder / 'second'}"
    prepare(limewash, folder / "whole", folder / "images", folder / "masks", *settings)
    found = samples(folder / "whole")
    assert list(found) == ["a.png", "b/1.png", "b/2.png"], list(found)
    assert found["b/1.png"]["caption"].decode() == "photo b/1.png – größer"
    assert "no valid UTF-8" in rejections(folder / "whole")["unreadable_caption.png"]

    prepare(limewash, folder / "glob", str(folder / "images" / "b" / "[0-9].png"), folder / "masks" / "b")
    assert list(samples(folder / "glob")) == ["1.png", "2.png"]

    rows = ("image,caption,mask,second_mask", "images/b/2.png,\"two, \"\"quoted\"\"\",masks/b/2.png,",
            "images/a.png,,masks/a.png;masks/b/1.png,second/a.png")
    write(folder / "list.csv", "\r\n".join(rows).encode())
    lines = ({"image": "images/b/2.png", "caption": "two, \"quoted\"", "mask": "masks/b/2.png"},
             {"image": "images/a.png", "mask": ["masks/a.png", "masks/b/1.png"], "second_mask": "second/a.png"})
    write(folder / "list.jsonl", "\n".join(map(json.dumps, lines)).encode())
    for kind in ("csv", "jsonl"):
        prepare(limewash, folder / kind, folder / f"list.{kind}", None)
        found = samples(folder / kind)
        assert list(found) == ["images/b/2.png", "images/a.png"], list(found)
        assert found["images/b/2.png"]["caption"] == b"two, \"quoted\""
    indices = [(folder / kind / "index.json").read_bytes() for kind in ("csv", "jsonl")]
    assert indices[0] == indices[1], "one list in two notations makes one dataset"
    print("folder, glob, CSV and JSON lines")


def main():
    limewash = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_photos(limewash, folder / "photos")
        for threshold in (0.5, 0.2, 0.7):
            check_masks(limewash, folder / f"soft{threshold}", soft_kinds(threshold), f"mask_threshold={threshold}")
        check_masks(limewash, folder / "labels", label_kinds(), "mask_classes=[3,7,300]")
        check_refused_labels(limewash, folder / "refused")
        check_sources(limewash, folder / "sources")


if __name__ == "__main__":
    main()
