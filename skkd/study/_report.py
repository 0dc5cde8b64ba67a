"""The report of a study, and the files beside it."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from skkd.study import _figures
from skkd.study._checklist import checklist
from skkd.study._extras import write_extras
from skkd.study._models import file_digest
from skkd.study._stages import write_json, write_text
from skkd.study._tables import shown
from skkd.study._viewer import Maps
from skkd.study._words import in_words


@dataclass
class Found:
    """All that a report is made of; see `run_study`."""

    settings: object
    identity: dict
    command: str
    images: object
    leaks: dict
    tables: dict
    n_labels: int | None
    search: dict
    ranked: list
    figures: dict
    maps: Path
    models: dict
    student: Path
    seconds: dict
    left_out: list
    versions: list

    @property
    def title(self):
        """What the study is called: its folder of images."""
        data = self.settings.data
        return "Phantoms" if data is None else Path(data).name or "Images"


def write(found, out, say):
    """Write tables, figures, models and the report, and return the path of the report."""
    for folder in ("tables", "figures", "models"):
        (out / folder).mkdir(exist_ok=True)
    for name, table in found.tables.items():
        write_text(out / "tables" / f"{name}.csv", table.to_csv(index=False))
    maps = Maps(found.maps)
    svgs = _figures.write(found.figures | maps.figures(), out / "figures")
    for name, path in found.models.items():
        shutil.copyfile(path, out / "models" / f"{name}{Path(path).suffix}")
    card = write_extras(found, out, say)
    write_json(out / "study.json", _plain(_record(found)))
    environment = Environment(
        loader=PackageLoader("skkd.study", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(
        found=found,
        said=in_words(found),
        tables=shown(found.tables),
        checklist=checklist(),
        svgs=svgs,
        card=card,
        viewer=maps.as_json(),
        record=_plain({"settings": found.identity["settings"], "versions": found.versions}),
        platform=found.tables["timing"]["platform"].iloc[0],
        fidelity_of=[label for label in found.images.classes if label in found.tables["fidelity"]],
    )
    report = out / "report.html"
    write_text(report, page)
    return report


def _record(found):
    return {
        "identity": found.identity,
        "versions": found.versions,
        "models": {name: file_digest(path) for name, path in found.models.items()},
        "seconds": found.seconds,
        "leaks": found.leaks,
        "search": found.search,
        "left_out": found.left_out,
        "tables": {
            name: json.loads(table.to_json(orient="records"))
            for name, table in found.tables.items()
        },
    }


def _plain(value):
    """Return a value as JSON holds it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
