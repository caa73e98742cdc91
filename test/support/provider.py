# SPDX-License-Identifier: BSD-2-Clause
"""A provider of external storage whose volumes are files in one folder."""

from pathlib import Path

PROGRAMS = {
    "create": 'test ! -e "$V" || { echo "$VOL_NAME exists"; exit 1; }\n'
              'truncate -s "${VOL_SIZE}M" "$V"; echo "$EXTP_COLOUR"',
    "remove": 'rm "$V"',
    "grow": 'truncate -s "${VOL_NEW_SIZE}M" "$V"',
    "attach": 'test -e "$V" || { echo "no volume $VOL_NAME" >&2; exit 1; }; touch "$V.on"; echo "$V"',
    "detach": 'rm -f "$V.on"',
    "setinfo": 'echo "$VOL_METADATA" > "$V.info"',
    "verify": "true",
    "snapshot": 'cp "$V" "FOLDER/$VOL_SNAPSHOT_NAME"',
}


def write(folder: Path, volumes: Path) -> None:
    """The provider in `folder`, with volumes below `volumes`; a call is a line of the file `calls` there."""
    folder.mkdir(parents=True)
    volumes.mkdir(exist_ok=True)
    for name, text in PROGRAMS.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nset -e\nV="{volumes}/$VOL_NAME"\necho "{name} $VOL_NAME" >> {volumes}/calls\n'
                           + text.replace("FOLDER", str(volumes)) + "\n")
        program.chmod(0o755)
    (folder / "parameters.list").write_text("colour Its colour\nspeed\n")
