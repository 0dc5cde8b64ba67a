"""What a user calls X, as images that are read a batch at a time."""

from skkd.images._files import read_image
from skkd.images._input import as_images
from skkd.images._metadata import file_metadata
from skkd.images._paths import ImagePaths

__all__ = ["ImagePaths", "as_images", "file_metadata", "read_image"]
