# SPDX-License-Identifier: BSD-2-Clause
# What the scripts of this definition share.  Sourced, not run.
#
# Layout of the disk, in sectors of 512 bytes, all text padded with zeros:
#   0  "GANTRY-GUEST v1", then name=, ticks=, banner=, a line each
#   1  number of boots so far
#   2  last tick

fail() {
    echo "gantry-guest: $*" >&2
    exit 1
}

# The first disk, which must be there and writable.
need_disk() {
    [ "${DISK_COUNT:-0}" -ge 1 ] || fail "instance $INSTANCE_NAME has no disk, this guest needs one"
    [ -n "${DISK_0_PATH:-}" ] || fail "disk 0 of instance $INSTANCE_NAME has no path on this node"
    [ -e "$DISK_0_PATH" ] || fail "disk 0 of instance $INSTANCE_NAME is missing: $DISK_0_PATH"
    [ "${DISK_0_ACCESS:-rw}" = rw ] && [ -w "$DISK_0_PATH" ] ||
        fail "disk 0 of instance $INSTANCE_NAME is read-only: $DISK_0_PATH"
}

# write_sector NUMBER: stdin, padded to one sector, in the place of sector NUMBER of the first disk.
write_sector() {
    { cat && dd if=/dev/zero bs=512 count=1 2>/dev/null; } | dd bs=512 count=1 iflag=fullblock 2>/dev/null |
        dd of="$DISK_0_PATH" bs=512 seek="$1" count=1 iflag=fullblock conv=notrunc,fsync 2>/dev/null ||
        fail "disk 0 of instance $INSTANCE_NAME cannot be written: $DISK_0_PATH"
}

# The header with the instance's present name.  The parameters were checked by `verify`.
write_header() {
    printf 'GANTRY-GUEST v1\nname=%s\nticks=%s\nbanner=%.200s\n' \
        "$INSTANCE_NAME" "${OSP_TICKS:-1}" "${OSP_BANNER:-}" | write_sector 0
}
