"""The XML that nvidia-smi prints, as evidence: no DTD of its own, no entities, nothing twice, no guessed numbers.

Only a DOCTYPE that names NVIDIA's DTD is allowed, so there is nothing to expand; the DTD itself is never fetched.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from drivers.inband import ParseError

TOOL = "nvidia-smi"
LONGEST = 4 * 2**20
"""Characters; a tray of four accelerators prints 120,000."""
LOST = "GPU is lost"
_DOCTYPE = re.compile(r'<!DOCTYPE nvidia_smi_log SYSTEM "[^"<>&%\[\]]{1,100}">')
_QUANTITY = re.compile(r"(-?[0-9]{1,18}(?:\.[0-9]{1,9})?)(?: (\S{1,8}))?")
_COUNT = re.compile(r"[0-9]{1,18}")
_UNSAID = frozenset({"", "N/A", "[N/A]", LOST, "Unknown Error", "[Unknown Error]", "Insufficient Permissions"})


def read_log(text: str) -> ET.Element:
    """The root element; raises ParseError where the text is cut off, too long or declares anything."""
    if len(text) > LONGEST:
        raise ParseError(f"{TOOL}: {len(text)} characters are more than it can have printed")
    plain = _DOCTYPE.sub("", text.strip(), count=1)
    if "<!" in plain:
        raise ParseError(f"{TOOL}: this declares something, which it never does")
    try:
        log = ET.fromstring(plain.encode(errors="replace"))  # noqa: S314 - declarations were refused above
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise ParseError(f"{TOOL}: no valid XML: {error}") from error
    if log.tag != "nvidia_smi_log":
        raise ParseError(f"{TOOL}: the document is a {log.tag!r}")
    return log


def raw(node: ET.Element, path: str) -> str:
    """The text at `path` as printed, empty where it is missing; raises ParseError where there are two."""
    # Tag by tag: by a path of several the library takes ten times as long, and a log has thousands.
    found = [node]
    for tag in path.split("/"):
        found = [child for each in found for child in each.findall(tag)]
    if len(found) > 1:
        raise ParseError(f"{TOOL}: {path} occurs {len(found)} times")
    return (found[0].text or "").strip() if found else ""


def word(node: ET.Element, path: str) -> str:
    """The text at `path`, empty where the tool says that there is none."""
    found = raw(node, path)
    return "" if found in _UNSAID else found


def quantity(node: ET.Element, path: str, unit: str) -> float | None:
    """The number at `path` in exactly this unit, None for everything else."""
    found = _QUANTITY.fullmatch(raw(node, path))
    if found is None or (found.group(2) or "") != unit:
        return None
    return float(found.group(1))


def count(node: ET.Element, path: str) -> int | None:
    """The whole number at `path`, None for everything else."""
    found = raw(node, path)
    return int(found) if _COUNT.fullmatch(found) else None


def flag(node: ET.Element, path: str) -> bool | None:
    """Yes, True and Enabled are True; No, False and Disabled are False; all else is None."""
    return {"Yes": True, "True": True, "Enabled": True, "No": False, "False": False, "Disabled": False}.get(
        raw(node, path)
    )


def total(node: ET.Element, section: str, shapes: tuple[tuple[str, ...], ...]) -> int | None:
    """The sum of the counters of the one shape that is printed; "N/A" is a counter that this accelerator has not.

    None where they are no whole shape, where none of them is there, or where one cannot be read.
    """
    printed = {each.tag for each in node.findall(f"{section}/*")} & {name for shape in shapes for name in shape}
    names = next((shape for shape in shapes if printed == set(shape)), ())
    held = [name for name in names if raw(node, f"{section}/{name}") != "N/A"]
    counts = [count(node, f"{section}/{name}") for name in held]
    if not counts or None in counts:
        return None
    return sum(each for each in counts if each is not None)
