"""DICOM files as 8-bit images; needs pydicom, which is not installed with skkd."""

import numpy as np
from PIL import Image
from scipy.special import expit

# Scanners write these without a value too, which says as much as leaving them out.
_OPTIONAL = (
    "NumberOfFrames",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTFunction",
    "WindowCenter",
    "WindowWidth",
)


def is_dicom(file):
    """Tell whether an open file says it is DICOM; leaves the file at its beginning."""
    file.seek(128)
    magic = file.read(4)
    file.seek(0)
    return magic == b"DICM"


def dicom_shape(file):
    """Tell height, width and grayness of an open DICOM file without decoding it."""
    import pydicom

    header = pydicom.dcmread(file, stop_before_pixels=True)
    return header.Rows, header.Columns, header.SamplesPerPixel == 1


def decode_dicom(file):
    """Decode a DICOM file to an 8-bit Pillow image.

    Parameters
    ----------
    file : binary file object
        The open file.

    Returns
    -------
    image : PIL.Image.Image
        Gray or RGB.
    """
    import pydicom.pixels

    header = pydicom.dcmread(file)
    for name in _OPTIONAL:
        if name in header and header[name].is_empty:
            del header[name]
    if int(header.get("NumberOfFrames", 1)) > 1:
        raise ValueError(f"it holds {header.NumberOfFrames} frames; save one image a file")
    if header.PhotometricInterpretation == "PALETTE COLOR":
        raise ValueError("its colors stand in a DICOM palette; save it as RGB or grayscale")
    pixels = pydicom.pixels.pixel_array(header)
    if pixels.ndim == 3:
        if pixels.dtype != np.uint8:
            pixels = (pixels >> (header.BitsStored - 8)).astype(np.uint8)
        return Image.fromarray(pixels)
    values = pydicom.pixels.apply_modality_lut(pixels, header).astype(float)
    shown = _window(values, header)
    if header.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return Image.fromarray(np.rint(255 * shown).astype(np.uint8))


def _window(values, header):
    """Map values to [0, 1] as PS3.3 C.11.2.1.2 and C.11.2.1.3 of the DICOM standard say."""
    if "WindowCenter" not in header or "WindowWidth" not in header:
        low, high = values.min(), values.max()
        return (values - low) / max(high - low, np.finfo(float).tiny)
    center, width = (
        float(np.atleast_1d(header[name].value)[0]) for name in ("WindowCenter", "WindowWidth")
    )
    function = header.get("VOILUTFunction", "LINEAR")
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width <= 0:
        return (values > center).astype(float)
    if function == "SIGMOID":
        return expit(4 * (values - center) / width)
    return np.clip((values - center) / width + 0.5, 0, 1)
