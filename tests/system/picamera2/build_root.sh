#!/bin/sh
# Builds a Debian 13 in the empty folder $1, with the real picamera2 and the checkout $2 on it.
# Needs root, mmdebstrap and a network; about a minute.
set -eu
root=$1 checkout=$2
here=$checkout/tests/system/picamera2

mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io trixie "$root" \
    --include=ca-certificates,gcc,libc6-dev,libcap-dev,python3-dev,python3-numpy,python3-pip,python3-venv

# libcamera 0.7.1 is the first whose virtual camera is of use here; trixie itself has 0.4.
sed -n 's/ trixie main.*/ trixie-backports main/p' "$root/etc/apt/sources.list" \
    > "$root/etc/apt/sources.list.d/backports.list"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive "$@"; }
inside apt-get update -qq
inside apt-get install -qq --no-install-recommends -t trixie-backports \
    libcamera-ipa python3-libcamera > "$root/apt.log"

mkdir -p "$root/usr/share/libcamera/pipeline/virtual" "$root/edge-ssd"
cp "$here/virtual.yaml" "$root/usr/share/libcamera/pipeline/virtual/virtual.yaml"
cp "$here/fake_dmabuf.c" "$root/root/"
inside gcc -Wall -Werror -shared -fPIC -o /root/fake_dmabuf.so /root/fake_dmabuf.c

cd "$checkout"
cp -r edge_ssd configs tests pyproject.toml README.md LICENSE NOTICE "$root/edge-ssd/"
# Where pip trusts a certificate of this machine's own, it must find that inside as well.
if [ -n "${PIP_CERT:-}" ]; then
    mkdir -p "$root$(dirname "$PIP_CERT")"
    cp -L "$PIP_CERT" "$root$PIP_CERT"
fi
inside python3 -m venv --system-site-packages /root/venv
inside /root/venv/bin/pip install --quiet --no-cache-dir picamera2 pytest /edge-ssd
