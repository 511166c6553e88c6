#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what PIL makes of pictures: resized ones, and small files of every kind.

    pip install "pillow<13" numpy xxhash
    python3 tests/golden/pil/make_goldens.py

resize.txt    WIDTH HEIGHT TO_WIDTH TO_HEIGHT SEED HASH: 300 pictures made by formula (`made`, which
              tests/vision/resample_test.cc repeats) and the XXH3 hash of PIL's bicubic result
files/        encoded pictures
decoded.txt   NAME WIDTH HEIGHT DIFFERENCE OFFSET: what PIL decodes them to, upright and in RGB, lies at
              OFFSET of decoded.rgb; another decoder may differ by DIFFERENCE
"""
import io
import pathlib
import random
import struct
import zlib

import numpy
import xxhash
from PIL import Image, ImageOps, PngImagePlugin

HERE = pathlib.Path(__file__).parent
RESIZED_COUNT = 300


# ---- Resizing ----


def made(width, height, seed):
    """Noise, black and white noise, or slopes, by the seed's remainder by 3."""
    if seed % 3 == 2:
        y, x, c = numpy.mgrid[0:height, 0:width, 0:3].astype(numpy.uint32)
        return ((x * (seed % 7 + c) + y * (seed % 5 + 1)) // 3 % 256).astype(numpy.uint8)
    mixed = numpy.arange(width * height * 3, dtype=numpy.uint32) * numpy.uint32(2654435761)
    mixed += numpy.uint32(seed * 40503)
    mixed ^= mixed >> 15
    mixed *= numpy.uint32(2246822519)
    noise = (mixed >> 24).astype(numpy.uint8).reshape(height, width, 3)
    return noise if seed % 3 == 0 else (noise >> 7) * numpy.uint8(255)


def write_resized():
    """Sizes are even on a logarithmic scale, so that every ratio of growing and shrinking occurs."""
    generator = random.Random(1)
    lines = []
    for seed in range(RESIZED_COUNT):
        sizes = [round(most ** generator.random()) for most in (3000, 2000, 3000, 2000)]
        if seed == 0:
            sizes = [1, 1, 3000, 2000]
        if seed == 1:
            sizes = [3000, 2000, 1, 1]
        image = Image.fromarray(made(*sizes[:2], seed))
        resized = numpy.asarray(image.resize(tuple(sizes[2:]), Image.Resampling.BICUBIC))
        digest = xxhash.xxh3_64_hexdigest(resized.tobytes())
        lines.append(" ".join(map(str, [*sizes, seed, digest])))
    (HERE / "resize.txt").write_text("\n".join(lines) + "\n")


# ---- Files ----

SIZE = WIDTH, HEIGHT = 19, 11
NOISE = numpy.random.default_rng(1)
SMOOTH = Image.fromarray(made(5, 4, 0)).resize(SIZE, Image.Resampling.BICUBIC)
ALPHA = Image.fromarray(made(WIDTH, HEIGHT, 2)[..., 0])
TRANSLUCENT = Image.merge("RGBA", [*SMOOTH.split(), ALPHA])
PALETTED = SMOOTH.quantize(60)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits, colours, rows, extra=b"", interlaced=0):
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colours, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + extra.join(
        [png_chunk(*chunks[0]), b"".join(png_chunk(*c) for c in chunks[1:])]
    )


def noise_rows(row_bytes):
    return [NOISE.bytes(row_bytes) for _ in range(HEIGHT)]


def grey16_rows(most):
    return [NOISE.integers(0, most, WIDTH).astype(">u2").tobytes() for _ in range(HEIGHT)]


def interlaced_rows(pixels):
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    for x, y, right, down in [*steps, (0, 1, 1, 2)]:
        yield from (row.tobytes() for row in pixels[y::down, x::right] if row.size)


def png_files():
    for mode in ("RGB", "L", "LA", "1"):
        yield f"{mode.lower()}.png", saved(TRANSLUCENT.convert("RGB").convert(mode), "PNG")
    yield "rgba.png", saved(TRANSLUCENT, "PNG")
    for colours in (2, 4, 13, 60):
        yield f"palette_{colours}.png", saved(SMOOTH.quantize(colours), "PNG")
    transparency = png_chunk(b"tRNS", b"\0\x30")
    yield "palette_alpha.png", saved(PALETTED, "PNG", transparency=bytes(range(0, 240, 4)))
    for bits in (1, 2, 4):
        yield f"grey_{bits}.png", png(bits, 0, noise_rows((WIDTH * bits + 7) // 8))
    yield "grey_transparent.png", png(8, 0, noise_rows(WIDTH), transparency)
    yield "rgb_transparent.png", png(8, 2, noise_rows(WIDTH * 3), png_chunk(b"tRNS", b"\0\1\0\2\0\3"))
    yield "gamma.png", png(8, 2, noise_rows(WIDTH * 3), png_chunk(b"gAMA", struct.pack(">I", 10**5)))
    yield "grey_16.png", png(16, 0, grey16_rows(600))
    yield "grey_16_bright.png", png(16, 0, grey16_rows(65536))
    yield "grey_16_transparent.png", png(16, 0, grey16_rows(300), transparency)
    yield "grey_alpha_16.png", png(16, 4, noise_rows(WIDTH * 4))
    yield "rgb_16.png", png(16, 2, noise_rows(WIDTH * 6))
    yield "rgba_16.png", png(16, 6, noise_rows(WIDTH * 8))
    pixels = made(WIDTH, HEIGHT, 2)
    yield "interlaced.png", png(8, 2, interlaced_rows(pixels), interlaced=1)
    yield "interlaced_16.png", png(
        16, 0, interlaced_rows(pixels[..., 0].astype(">u2")), interlaced=1
    )
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="8"/>')
    yield "xmp.png", saved(SMOOTH, "PNG", pnginfo=text)


def jpeg_files():
    for subsampling, name in enumerate(("444", "422", "420")):
        yield f"{name}.jpg", saved(SMOOTH, "JPEG", quality=90, subsampling=subsampling)
    yield "progressive.jpg", saved(SMOOTH, "JPEG", progressive=True)
    yield "restarts.jpg", saved(SMOOTH, "JPEG", restart_marker_blocks=1)
    yield "grey.jpg", saved(SMOOTH.convert("L"), "JPEG")
    yield "cmyk.jpg", saved(SMOOTH.convert("CMYK"), "JPEG", quality=95)
    yield "xmp.jpg", saved(SMOOTH, "JPEG", xmp=b'<x tiff:Orientation="6"/>')


def webp_files():
    yield "lossy.webp", saved(SMOOTH, "WEBP", quality=80)
    yield "lossy_alpha.webp", saved(TRANSLUCENT, "WEBP", quality=80)
    yield "lossless.webp", saved(SMOOTH, "WEBP", lossless=True)
    yield "lossless_alpha.webp", saved(TRANSLUCENT, "WEBP", lossless=True, exact=True)
    xmp = b"<x><tiff:Orientation>3</tiff:Orientation></x>"
    yield "xmp.webp", saved(SMOOTH, "WEBP", lossless=True, xmp=xmp)


def turned_files():
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        yield f"turn_{orientation}.png", saved(SMOOTH, "PNG", exif=exif)
        yield f"turn_{orientation}.jpg", saved(SMOOTH, "JPEG", exif=exif)
        yield f"turn_{orientation}.webp", saved(SMOOTH, "WEBP", lossless=True, exif=exif)


def bmp(bits, rows, compression=0, behind=b"", header=40, colours=0, height=HEIGHT):
    """`behind` the header: masks, the rest of a longer header, a palette."""
    pixels = rows if compression in (1, 2) else b"".join(r + b"\0" * (-len(r) % 4) for r in rows)
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        sides = struct.pack("<IiiHH", header, WIDTH, height, 1, bits)
        info = sides + struct.pack("<IIiiII", compression, len(pixels), 0, 0, colours, 0)
    start = 14 + len(info) + len(behind)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + info + behind + pixels


def masks(*colours):
    return struct.pack(f"<{len(colours)}I", *colours)


def bmp_files():
    for mode in ("RGB", "L", "1"):
        yield f"{mode.lower()}.bmp", saved(SMOOTH.convert(mode), "BMP")
    yield "palette.bmp", saved(PALETTED, "BMP")
    yield "rgba.bmp", saved(TRANSLUCENT, "BMP")
    yield "upper_row_first.bmp", bmp(24, noise_rows(WIDTH * 3), height=-HEIGHT)
    yield "555.bmp", bmp(16, noise_rows(WIDTH * 2))
    yield "555_masks.bmp", bmp(16, noise_rows(WIDTH * 2), 3, masks(0x7C00, 0x3E0, 0x1F))
    yield "565.bmp", bmp(16, noise_rows(WIDTH * 2), 3, masks(0xF800, 0x7E0, 0x1F))
    yield "32.bmp", bmp(32, noise_rows(WIDTH * 4))
    yield "32_masks.bmp", bmp(32, noise_rows(WIDTH * 4), 3, masks(0xFF0000, 0xFF00, 0xFF))
    yield "32_upper.bmp", bmp(32, noise_rows(WIDTH * 4), 3, masks(0xFF000000, 0xFF0000, 0xFF00))
    alpha_masks = masks(0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield "32_alpha.bmp", bmp(32, noise_rows(WIDTH * 4), 3, alpha_masks + bytes(68), header=124)
    yield "old.bmp", bmp(24, noise_rows(WIDTH * 3), header=12)
    yield "old_palette.bmp", bmp(8, noise_rows(WIDTH), behind=NOISE.bytes(768), header=12)
    yield "palette_4.bmp", bmp(4, noise_rows(10), behind=NOISE.bytes(64))
    yield "palette_1.bmp", bmp(1, noise_rows(3), behind=NOISE.bytes(8))
    few = [bytes(NOISE.integers(0, 20, WIDTH, numpy.uint8)) for _ in range(HEIGHT)]
    yield "palette_few.bmp", bmp(8, few, behind=NOISE.bytes(80), colours=20)
    skip, end_of_row, end = b"\0\2\4\1", b"\0\0", b"\0\1"
    runs = b"\x13\5\0\0" + b"\x09\1\0\x04\7\6\5\4\6\2\0\0" + skip + b"\x0f\3" + end_of_row
    runs += b"".join(bytes([WIDTH, i]) + end_of_row for i in range(7)) + end
    yield "runs_8.bmp", bmp(8, runs, 1, NOISE.bytes(1024))
    yield "runs_4.bmp", bmp(4, runs.replace(b"\0\x04\7\6\5\4", b"\0\x04\x76\x54"), 2, NOISE.bytes(64))


def write_files():
    lines, pixels = [], b""
    (HERE / "files").mkdir(exist_ok=True)
    for files in (png_files(), jpeg_files(), webp_files(), turned_files(), bmp_files()):
        for name, data in files:
            (HERE / "files" / name).write_bytes(data)
            rgb = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            difference = 2 if name.endswith(".jpg") or name.startswith("lossy") else 0
            lines.append(" ".join(map(str, [name, *rgb.size, difference, len(pixels)])))
            pixels += rgb.tobytes()
    (HERE / "decoded.txt").write_text("\n".join(lines) + "\n")
    (HERE / "decoded.rgb").write_bytes(pixels)


if __name__ == "__main__":
    write_resized()
    write_files()
