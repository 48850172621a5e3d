"""Writes the kinds of picture that PIL does not (16-bit colour, interlaced, tiled, inverted), from their
specifications, and says what pixels a person expects of each kind."""

import struct
import zlib

import numpy as np


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values, color_type, depth, extra=b"", interlaced=False):
    """`values` [height, width(, channels)] as stored; depth 8 or 16, or below 8 for one channel."""
    values = np.asarray(values)
    height, width = values.shape[:2]

    def filtered(part):
        rows = part.reshape(part.shape[0], -1)
        if depth == 16:
            rows = rows.astype(">u2").view(np.uint8).reshape(part.shape[0], -1)
        elif depth < 8:
            bits = (rows[..., None] >> np.arange(depth - 1, -1, -1) & 1).reshape(part.shape[0], -1)
            rows = np.packbits(bits.astype(np.uint8), axis=1)
        return b"".join(b"\0" + row.astype(np.uint8).tobytes() for row in rows)

    if interlaced:
        passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        pixels = b"".join(filtered(values[top::down, left::right]) for top, left, down, right in passes
                          if top < height and left < width)
    else:
        pixels = filtered(values)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(pixels)) +
            chunk(b"IEND", b""))


def tiff(values, photometric, depth=8, byte_order="<", tile=None, planar=False, palette=None, extra_sample=None,
         orientation=1, sample_format=None):
    """An uncompressed TIFF 6.0 of `values` [height, width(, channels)]; `tile` is the side of square tiles."""
    values = np.asarray(values)
    values = values.reshape(*values.shape[:2], -1)
    height, width, channels = values.shape
    kind = {8: "u1", 16: "u2", 32: "f4"}.get(depth, "u1")

    def stored(block):
        if depth < 8:
            bits = (block.reshape(block.shape[0], -1)[..., None] >> np.arange(depth - 1, -1, -1) & 1)
            return np.packbits(bits.reshape(block.shape[0], -1).astype(np.uint8), axis=1).tobytes()
        return block.astype(byte_order + kind).tobytes()

    planes = [values[..., c:c + 1] for c in range(channels)] if planar else [values]
    blocks = []
    for plane in planes:
        if tile:
            padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
            blocks += [stored(padded[y:y + tile, x:x + tile])
                       for y in range(0, height, tile) for x in range(0, width, tile)]
        else:
            blocks += [stored(plane[y:y + 7]) for y in range(0, height, 7)]
    offsets, body = [], b""
    for block in blocks:
        offsets.append(8 + len(body))
        body += block + b"\0" * (len(block) % 2)
    short, long = 3, 4
    tags = [(256, long, [width]), (257, long, [height]), (258, short, [depth] * channels), (259, short, [1]),
            (262, short, [photometric]), (274, short, [orientation]), (277, short, [channels]),
            (284, short, [2 if planar else 1])]
    sizes = [len(block) for block in blocks]
    if tile:
        tags += [(322, long, [tile]), (323, long, [tile]), (324, long, offsets), (325, long, sizes)]
    else:
        tags += [(273, long, offsets), (278, long, [7]), (279, long, sizes)]
    if palette is not None:
        tags.append((320, short, list(np.asarray(palette).astype(int).T.ravel() * 257)))
    if extra_sample is not None:
        tags.append((338, short, [extra_sample]))
    if sample_format is not None:
        tags.append((339, short, [sample_format] * channels))
    directory, beyond = struct.pack(byte_order + "H", len(tags)), b""
    start = 8 + len(body)
    after = start + 2 + 12 * len(tags) + 4
    for tag, code, numbers in sorted(tags):
        data = struct.pack(byte_order + str(len(numbers)) + ("H" if code == short else "I"), *map(int, numbers))
        directory += struct.pack(byte_order + "HHI", tag, code, len(numbers))
        if len(data) <= 4:
            directory += data.ljust(4, b"\0")
        else:
            directory += struct.pack(byte_order + "I", after + len(beyond))
            beyond += data + b"\0" * (len(data) % 2)
    mark = b"II*\0" if byte_order == "<" else b"MM\0*"
    return mark + struct.pack(byte_order + "I", start) + body + directory + b"\0\0\0\0" + beyond


def over(values, alpha, background):
    """`values` and `alpha` in 0-255, blended as stored, halves rounded up."""
    opacity = alpha.astype(int)[..., None]
    return ((values.astype(int) * opacity + background * (255 - opacity) + 127) // 255).astype(np.uint8)


def to_eight_bits(values):
    return ((values.astype(int) + 128) // 257).astype(np.uint8)


def inks_to_rgb(inks):
    """`inks` [.., 4] with 255 for full ink."""
    light = 255 - inks.astype(int)
    return ((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8)


def turned(array, orientation):
    """Upright, as EXIF 2.3 (tag 0x0112) describes each value."""
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array
