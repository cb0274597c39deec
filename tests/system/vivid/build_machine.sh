#!/bin/sh
# Builds in the empty folder $1 a machine for qemu whose camera is vivid, the kernel's own fake:
# vmlinuz, and initramfs, a Debian 12 with the checkout $2 that runs ./init.
# Needs root, mmdebstrap and a network; about a minute.
set -eu
out=$1 checkout=$2
root=$out/root

# Of the kernel's modules only the cameras'. INITRD=No: Debian's own initramfs is not wanted.
INITRD=No mmdebstrap --quiet --variant=minbase --dpkgopt=force-unsafe-io bookworm "$root" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/lib/modules/*/kernel/*' \
    --dpkgopt='path-include=/lib/modules/*/kernel/drivers/media/*' \
    --include=ca-certificates,cpio,linux-image-amd64,python3-venv
mv "$root"/boot/vmlinuz-* "$out/vmlinuz"

mkdir "$root/edge-ssd"
cd "$checkout"
cp -r edge_ssd configs tests pyproject.toml README.md LICENSE NOTICE "$root/edge-ssd/"
# Where pip trusts a certificate of this machine's own, it must find that inside as well.
if [ -n "${PIP_CERT:-}" ]; then
    mkdir -p "$root$(dirname "$PIP_CERT")"
    cp -L "$PIP_CERT" "$root$PIP_CERT"
fi
inside() { chroot "$root" "$@"; }
inside python3 -m venv /root/venv
inside /root/venv/bin/pip install --quiet --no-cache-dir pytest /edge-ssd
# What OpenCV 4 and 5 make of formats that they do not convert differs.
inside /root/venv/bin/pip install --quiet --no-cache-dir --no-deps --target /root/opencv4 \
    'opencv-python-headless<4.12'

cp tests/system/vivid/init "$root/init"
# The kernel unpacks it to memory; compressed it would only take longer.
inside sh -c 'find . -xdev | cpio --quiet --create --format=newc' > "$out/initramfs"
rm -r "$root"
