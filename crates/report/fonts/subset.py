"""Makes the two fonts of this folder from DejaVu Sans 2.37 (https://dejavu-fonts.github.io).

    python subset.py FOLDER_WITH_DejaVuSans.ttf        # needs fonttools 4.x

Kept: Basic Latin, Latin-1, Latin Extended-A, Greek and the signs of a figure. The line height (ascent + descent) is set to 1.24 em, because plotters takes an SVG's
font size to be 1/1.24 of the line height: with it, text has one size in SVG and in PNG.
"""

import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

UNICODES = "U+0020-007E,U+00A0-017F,U+0370-03FF,U+2010-2015,U+2018-201E,U+2020-2022,U+2026,U+2032,U+2070-209C,U+2190-2193,U+2212,U+2248,U+2260,U+2264,U+2265,U+25A0,U+25B2,U+25C6,U+25C7,U+25CF"

for name in ["DejaVuSans", "DejaVuSans-Bold"]:
    target = Path(__file__).parent / f"{name}.subset.ttf"
    subset.main(
        [
            str(Path(sys.argv[1]) / f"{name}.ttf"),
            f"--unicodes={UNICODES}",
            f"--output-file={target}",
            "--layout-features=kern",
            "--legacy-kern",
            "--no-hinting",
            "--name-IDs=0,1,2,3,4,5,6,13,14",
            "--recalc-timestamp",
        ]
    )
    font = TTFont(target, recalcTimestamp=False)
    font["head"].modified = font["head"].created
    em = font["head"].unitsPerEm
    font["hhea"].ascent, font["hhea"].descent, font["hhea"].lineGap = round(0.97 * em), -round(0.27 * em), 0
    font.save(target)
    print(target.name, target.stat().st_size, "bytes")
