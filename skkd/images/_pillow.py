"""Image files that Pillow reads, and those TIFF files that tifffile reads for it."""

import numpy as np
from PIL import ExifTags, Image, ImageOps

from skkd.images._values import (
    ImageHeader,
    Refusal,
    as_read,
    check_size,
    need,
    read_dtype,
)

# Pillow knows many more, of which PostScript runs a program, and none is what scans come in.
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
_GRAY_MODES = {"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_DEEP_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N", "F"}
_TIFF_MAGIC = {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}
_BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLE_FORMAT = 258, 262, 274, 339


def is_tiff(head):
    """Tell whether a file begins as a TIFF."""
    return head[:4] in _TIFF_MAGIC


class PillowFrames:
    """The frames of a file that Pillow reads.

    Parameters
    ----------
    file : binary file object
        The open file.
    """

    has_units = False

    def __init__(self, file):
        self._file = file
        self._image = Image.open(file, formats=FORMATS)
        self.format = self._image.format
        # The further pictures of an MPO, a JPEG of a camera, are previews and other views.
        self.n_frames = 1 if self.format == "MPO" else getattr(self._image, "n_frames", 1)
        self._tiff = None

    def _seek(self, index):
        """Go to a frame; return the type its values have where they are more than 8 bits."""
        image = self._image
        if self.n_frames > 1:
            image.seek(index)
        check_size(image.height, image.width)
        if self.format == "TIFF":
            return self._tiff_dtype(image.tag_v2)
        if self.format == "JPEG2000":
            return self._jpeg2000_dtype()
        if self.format == "PNG" and image.mode not in _DEEP_MODES:
            if image.tile and str(image.tile[0][3]).endswith(";16B"):
                _refuse_deep_color("PNG")
        elif self.format == "PPM" and image.mode == "RGB" and image.tile:
            # Pillow scales values to 8 bits by the maximum that the file says it uses.
            args = image.tile[0][3]
            if isinstance(args, tuple) and args[-1] > 255:
                _refuse_deep_color("PPM")
        elif self.format == "PPM" and image.mode == "I" and image.tile:
            args = image.tile[0][3]
            self._highest = args[-1] if isinstance(args, tuple) else 65535
        if image.mode in _DEEP_MODES:
            return np.dtype(np.float32 if image.mode == "F" else np.uint16)
        return None

    def _tiff_dtype(self, tags):
        bits = tags.get(_BITS, (1,))
        sample = tags.get(_SAMPLE_FORMAT, (1,))[0]
        if max(bits) <= 8:
            return np.dtype(np.int8) if sample == 2 and max(bits) == 8 else None
        if self._image.mode not in _DEEP_MODES:
            if self._tiff is None:
                self._file.seek(0)
                self._tiff = TiffFrames(self._file)
            return self._tiff.header(self._image.tell()).dtype
        if sample != 1 and tags.get(_PHOTOMETRIC) == 0:
            raise Refusal(
                "it says that low values are white (MinIsWhite) of values that have no highest; "
                "save it with low values black"
            )
        if sample == 3:
            return np.dtype(np.float32)
        return np.dtype(f"{'i' if sample == 2 else 'u'}{2 if max(bits) <= 16 else 4}")

    def _jpeg2000_dtype(self):
        signed, depth = _jpeg2000_depth(self._file)
        if signed:
            raise Refusal("its values are signed; save it with values from 0")
        if depth <= 8:
            return None
        if self._image.mode != "I;16":
            _refuse_deep_color("JPEG 2000")
        self._shift = max(16 - depth, 0)
        return np.dtype(np.uint16)

    def header(self, index):
        """Return the `ImageHeader` of a frame."""
        dtype = self._seek(index)
        image = self._image
        gray = image.mode in _GRAY_MODES
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            # Formats differ in when they turn the picture, so its size is known after decoding.
            image = _turn(image)
        dtype = np.dtype(np.uint8) if dtype is None else read_dtype(dtype)
        return ImageHeader(image.height, image.width, gray, self.format, dtype, self.n_frames)

    def values(self, index):
        """Return a frame: a Pillow image of 8 bits, or an array where it is deeper."""
        dtype = self._seek(index)
        if self._tiff is not None:
            return self._tiff.values(index)
        image = _turn(self._image)
        if dtype is not None:
            return self._deep_values(image, dtype)
        mode = "L" if image.mode in _GRAY_MODES else "RGB"
        if image.has_transparency_data:
            black = Image.new("RGBA", image.size, (0, 0, 0, 255))
            image = Image.alpha_composite(black, image.convert("RGBA"))
        return image.convert(mode)

    def _deep_values(self, image, dtype):
        values = np.asarray(image)
        if dtype.kind != "f" and dtype.itemsize == values.dtype.itemsize:
            # Pillow has no type of its own for these, but has their bits.
            values = values.astype(values.dtype.newbyteorder("=")).view(dtype)
        values = as_read(values.astype(dtype, copy=False))
        if self.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:
            values = 2 ** max(image.tag_v2[_BITS]) - 1 - values
            values = values.astype(read_dtype(dtype))
        elif self.format == "JPEG2000":
            # OpenJPEG's values come multiplied up to 16 bits.
            values = values >> self._shift
        elif self.format == "PPM":
            # Pillow has multiplied them up to 16 bits.
            values = np.rint(values * (self._highest / 65535)).astype(np.uint16)
        clear = image.info.get("transparency")
        return values if clear is None else np.where(values == clear, 0, values).astype(dtype)


def _turn(image):
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _refuse_deep_color(name):
    raise Refusal(
        f"it is a {name} of color or transparency with more than 8 bits a channel, of which only "
        "8 could be read; save it as TIFF, which tifffile reads (pip install skkd[tiff]), or "
        "with 8 bits a channel"
    )


def _jpeg2000_depth(file):
    """Return whether the first component of a JPEG 2000 file is signed, and its greatest depth."""
    place = file.tell()
    file.seek(0)
    head = file.read(2**16)
    file.seek(place)
    start = head.find(b"\xff\x4f\xff\x51")
    if start < 0 or start + 42 > len(head):
        raise Refusal("its codestream does not begin within 64 KiB")
    n_components = int.from_bytes(head[start + 40 : start + 42], "big")
    sizes = head[start + 42 : start + 42 + 3 * n_components : 3]
    return bool(sizes[0] & 0x80), max((size & 0x7F) + 1 for size in sizes)


class TiffFrames:
    """The pages of a TIFF that Pillow does not read whole, by tifffile.

    Parameters
    ----------
    file : binary file object
        The open file.
    """

    format = "TIFF"
    has_units = False

    def __init__(self, file):
        tifffile = need("tifffile", "a TIFF of a kind that Pillow does not read", "skkd[tiff]")
        self._pages = tifffile.TiffFile(file).pages
        self.n_frames = len(self._pages)
        if not self.n_frames:
            raise Refusal("it holds no page")

    def _page(self, index):
        page = self._pages[index]
        check_size(page.imagelength, page.imagewidth)
        if page.is_tiled:
            check_size(page.tilelength, page.tilewidth)
        kind = getattr(page.photometric, "name", page.photometric)
        n_extra = len(page.extrasamples)
        n_colors = page.samplesperpixel - n_extra
        if page.axes not in ("YX", "YXS", "SYX") or n_extra > 1:
            raise Refusal(f"its axes are {page.axes} with {page.samplesperpixel} samples a pixel")
        if (kind, n_colors) not in (("MINISBLACK", 1), ("MINISWHITE", 1), ("RGB", 3)):
            raise Refusal(f"its pixels are {kind} with {n_colors} channels; save it as gray or RGB")
        if kind == "MINISWHITE" and page.dtype.kind != "u":
            raise Refusal("it says that low values are white of values that have no highest")
        return page, n_colors, kind

    def header(self, index):
        """Return the `ImageHeader` of a page."""
        page, n_colors, _ = self._page(index)
        sides = page.imagelength, page.imagewidth
        if _orientation(page) > 4:
            sides = sides[::-1]
        dtype = read_dtype(page.dtype)
        return ImageHeader(*sides, n_colors == 1, self.format, dtype, self.n_frames)

    def values(self, index):
        """Return the pixels of a page."""
        page, n_colors, kind = self._page(index)
        values = page.asarray()
        if page.axes == "SYX":
            values = np.moveaxis(values, 0, -1)
        if values.ndim == 2:
            values = values[..., None]
        if values.shape[2] > n_colors:
            values, alpha = values[..., :n_colors], values[..., n_colors:]
            if getattr(page.extrasamples[0], "name", None) == "UNASSALPHA":
                if values.dtype.kind != "u":
                    raise Refusal("its transparency is of values that have no highest")
                opaque = alpha / (2.0**page.bitspersample - 1)
                values = np.rint(values * opaque).astype(page.dtype)
        values = _oriented(values, _orientation(page))
        if kind == "MINISWHITE":
            values = (2**page.bitspersample - 1 - values.astype(np.int64)).astype(page.dtype)
        values = as_read(values)
        return values[..., 0] if n_colors == 1 else values


def _orientation(page):
    tag = page.tags.get(_ORIENTATION)
    return 1 if tag is None else int(tag.value)


def _oriented(values, orientation):
    if orientation > 4:
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values
