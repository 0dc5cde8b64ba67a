"""DICOM files as images; needs pydicom, which is not installed with skkd."""

import os

import numpy as np
from PIL import Image
from scipy.special import expit

from skkd.images._values import (
    ImageHeader,
    Refusal,
    as_read,
    check_held,
    check_size,
    need,
)
from skkd.images._windows import WINDOWS, is_chosen, show

# How files begin that lack the preamble: with one of these elements of group 2 or 8.
_FIRST_ELEMENTS = {
    b"\x02\x00": {0x0000, 0x0001, 0x0002},
    b"\x08\x00": {0x0000, 0x0001, 0x0005, 0x0006, 0x0008, 0x0012, 0x0014, 0x0016, 0x0018},
}
# Where the files of several frames say what single ones say of their only frame.
_FRAME_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def is_dicom(head):
    """Tell by its first 132 bytes whether a file is DICOM, with its preamble or without."""
    if head[128:132] == b"DICM":
        return True
    known = _FIRST_ELEMENTS.get(head[:2], ())
    if int.from_bytes(head[2:4], "little") not in known or len(head) < 8:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") <= 1024


class DicomFrames:
    """The frames of a DICOM file.

    Parameters
    ----------
    file : binary file object
        The open file.
    """

    format = "DICOM"

    def __init__(self, file):
        self._pydicom = need("pydicom", "a DICOM file", "pydicom")
        self._file = file
        file.seek(128)
        self._whole = file.read(4) == b"DICM"
        self._read(stop_before_pixels=True)
        if "Rows" not in self._data:
            raise Refusal("it is DICOM without an image, such as a directory or a report")
        rows, columns = self._data.Rows, self._data.Columns
        check_size(rows, columns)
        self.n_frames = int(self._say(0, "NumberOfFrames") or 1)
        if self.n_frames < 1:
            raise Refusal(f"it says that it holds {self.n_frames} frames")
        syntax = self._data.file_meta.TransferSyntaxUID
        bits = rows * columns * int(self._data.get("BitsAllocated") or 8)
        frame_bytes = 1 if syntax.is_compressed else max(bits // 8, 1)
        size = os.fstat(file.fileno()).st_size
        check_held(self.n_frames * frame_bytes, size, deflated=syntax.is_deflated)

    def _read(self, **options):
        self._file.seek(0)
        self._data = self._pydicom.dcmread(self._file, force=not self._whole, **options)
        meta = self._data.file_meta
        if "TransferSyntaxUID" not in meta:
            implicit, little = self._data.original_encoding
            if not little:
                meta.TransferSyntaxUID = self._pydicom.uid.ExplicitVRBigEndian
            elif implicit:
                meta.TransferSyntaxUID = self._pydicom.uid.ImplicitVRLittleEndian
            else:
                meta.TransferSyntaxUID = self._pydicom.uid.ExplicitVRLittleEndian

    def _say(self, index, name):
        """Return what the file says of a frame; None also for an element without a value."""
        groups = [self._data]
        per_frame = self._data.get("PerFrameFunctionalGroupsSequence") or []
        shared = self._data.get("SharedFunctionalGroupsSequence") or []
        for group in (*shared[:1], *per_frame[index : index + 1]):
            groups += [item for key in _FRAME_GROUPS for item in group.get(key) or []]
        said = [group[name] for group in groups if name in group]
        said = [element.value for element in said if not element.is_empty]
        return said[-1] if said else None

    def header(self, index, window):
        """Return the `ImageHeader` of a frame, as it will be with a window."""
        data = self._data
        gray = data.SamplesPerPixel == 1
        dtype = np.dtype(np.float32 if gray and window is None else np.uint8)
        return ImageHeader(data.Rows, data.Columns, gray, self.format, dtype, self.n_frames)

    def values(self, index, window):
        """Return a frame: a Pillow image of 8 bits, or an array of float32 if window is None."""
        self._read()
        data = self._data
        if data.PhotometricInterpretation == "PALETTE COLOR":
            raise Refusal("its colors stand in a DICOM palette; save it as RGB or grayscale")
        self._drop_empty()
        self._check_frames()
        pixels = need("pydicom.pixels", "a DICOM file", "pydicom").pixel_array(data, index=index)
        if pixels.ndim == 3:
            if is_chosen(window):
                raise Refusal(f"it is in color, of which window={window!r} says nothing")
            if pixels.dtype != np.uint8:
                pixels = (pixels >> (data.BitsStored - 8)).astype(np.uint8)
            return Image.fromarray(pixels)
        padded = self._padded(pixels, index)
        inverted = data.PhotometricInterpretation == "MONOCHROME1"
        values = self._rescaled(pixels, index)
        if not np.isfinite(values).all():
            raise Refusal("its rescaling gives NaN or infinity")
        if window is None:
            if inverted:
                raise Refusal("its low values are bright (MONOCHROME1); choose a window")
            return as_read(values)
        if window == "header":
            shown = self._windowed(values, padded, index)
            if not np.isfinite(shown).all():
                raise Refusal("its window is no number; choose a window")
            shown = np.rint(255 * (1 - shown if inverted else shown)).astype(np.uint8)
        else:
            modality = self._say(index, "Modality")
            if window in WINDOWS and modality not in ("CT", None):
                raise Refusal(
                    f"its modality is {modality}; window={window!r} is for the Hounsfield units "
                    "of CT, so give (center, width) in its own values"
                )
            shown = show(values, window)
            shown = 255 - shown if inverted else shown
        shown[padded] = 0
        return Image.fromarray(shown)

    def _check_frames(self):
        """Refuse pixels of more frames than the file says it has, which would be left out."""
        stored = self._data.get("PixelData") or b""
        if self._data.file_meta.TransferSyntaxUID.is_compressed:
            encaps = need("pydicom.encaps", "a DICOM file", "pydicom")
            n_stored = len(encaps.parse_basic_offsets(stored))
        else:
            utils = need("pydicom.pixels.utils", "a DICOM file", "pydicom")
            said = utils.get_expected_length(self._data)
            # A value of odd length is filled up.
            beyond = max(len(stored) - said - said % 2, 0)
            n_stored = self.n_frames + beyond * self.n_frames // said
        if n_stored > self.n_frames:
            raise Refusal(
                f"it says that it holds {self.n_frames} frames of {self._data.Rows}x"
                f"{self._data.Columns} pixels, and has the pixels of {n_stored}"
            )

    def _drop_empty(self):
        # Scanners write elements without a value, over which pydicom's decoders stumble.
        for name in ("NumberOfFrames", "RescaleIntercept", "RescaleSlope"):
            if name in self._data and self._data[name].is_empty:
                del self._data[name]

    def _padded(self, pixels, index):
        """Tell which stored values are no measurement but fill the picture up."""
        low = self._say(index, "PixelPaddingValue")
        if low is None:
            return np.zeros(pixels.shape, dtype=bool)
        high = self._say(index, "PixelPaddingRangeLimit")
        # Some files write a negative value as if it were unsigned.
        bits = pixels.dtype.itemsize * 8
        ends = [int(low), int(low if high is None else high)]
        if pixels.dtype.kind == "i":
            ends = [end - 2**bits if end >= 2 ** (bits - 1) else end for end in ends]
        elif pixels.dtype.kind == "u":
            ends = [end % 2**bits for end in ends]
        return (pixels >= min(ends)) & (pixels <= max(ends))

    def _rescaled(self, pixels, index):
        tables = self._say(index, "ModalityLUTSequence")
        if tables:
            return self._look_up(pixels, tables[0])[0]
        slope, intercept = (self._say(index, name) for name in ("RescaleSlope", "RescaleIntercept"))
        values = pixels.astype(float)
        if slope is None or intercept is None:
            return values
        return values * float(slope) + float(intercept)

    def _windowed(self, values, padded, index):
        """Map values to [0, 1] as PS3.3 C.11.2.1 of the DICOM standard says."""
        tables = self._say(index, "VOILUTSequence")
        if tables:
            found, highest = self._look_up(values, tables[0])
            return found / highest
        center, width = (self._say(index, name) for name in ("WindowCenter", "WindowWidth"))
        if center is None or width is None:
            shown = values[~padded] if not padded.all() else values
            low, high = shown.min(), shown.max()
            return np.clip((values - low) / max(high - low, np.finfo(float).tiny), 0, 1)
        center, width = (float(np.atleast_1d(value)[0]) for value in (center, width))
        function = self._say(index, "VOILUTFunction") or "LINEAR"
        if function == "LINEAR":
            center, width = center - 0.5, width - 1
        if width <= 0:
            return (values > center).astype(float)
        if function == "SIGMOID":
            return expit(4 * (values - center) / width)
        return np.clip((values - center) / width + 0.5, 0, 1)

    def _look_up(self, values, item):
        """Map values by a table of PS3.3 C.11.1.1 or C.11.2.1.1; return its range too."""
        n_entries, first, bits = (int(value) for value in item.LUTDescriptor)
        n_entries = n_entries or 2**16
        # The descriptor's second value is signed where the values are, whatever its type says.
        if first >= 2**15 and values.min() < 0:
            first -= 2**16
        table = item.LUTData
        if isinstance(table, bytes):
            order = "<" if self._data.original_encoding[1] is not False else ">"
            narrow = bits <= 8 and len(table) < 2 * n_entries
            table = np.frombuffer(table, "u1" if narrow else f"{order}u2")
        table = np.asarray(table, dtype=float)[:n_entries]
        place = np.clip(np.rint(values).astype(np.int64) - first, 0, len(table) - 1)
        return table[place], 2.0**bits - 1
