#!/bin/sh
# Builds edge-ssd_VERSION+PYTHON_ARCHITECTURE.deb, which installs without a network.
# usage: build_deb.sh TARGET FOLDER [WHEELS]
#   TARGET  processor and Python, such as aarch64-py311: a file in constraints/
#   FOLDER  where the package goes
#   WHEELS  a folder that `pins.py download TARGET` filled; else they are downloaded
# Needs dpkg-deb; for the download also python3 with pip, and a network.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
target=${1:?"a target is missing, such as aarch64-py311"}
folder=${2:?"the folder for the package is missing"}
wheels=${3:-}

machine=${target%-py3*}
minor=${target##*-py3}
case $machine in
    aarch64) architecture=arm64 ;;
    x86_64) architecture=amd64 ;;
    armv7l) architecture=armhf ;;
esac
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/edge_ssd/__init__.py")+py3$minor

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"

# The same tree as the checkout's, and the wheels: install.sh works in it as it does there.
files=$stage/usr/lib/edge-ssd
mkdir -p "$files/deploy/constraints" "$stage/usr/share/doc/edge-ssd" "$stage/DEBIAN"
cp -R "$here/install.sh" "$here/uninstall.sh" "$here/apt" "$here/udev" "$files/deploy/"
cp "$here/constraints/$target.txt" "$files/deploy/constraints/"
cp -R "$checkout/systemd" "$checkout/configs" "$files/"
cp "$checkout/LICENSE" "$checkout/NOTICE" "$stage/usr/share/doc/edge-ssd/"
if [ -n "$wheels" ]; then
    cp -R "$wheels" "$files/wheels"
else
    python3 "$here/constraints/pins.py" download "$target" "$files/wheels"
fi

packages=$(cat "$here/apt/all.txt" "$here/apt/$machine.txt" 2>/dev/null | paste -sd ,)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" \
    -e "s/@PACKAGES@/$packages/" -e "s/@PYTHON@/3.$minor/" -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" \
    "$here/debian/control.in" >"$stage/DEBIAN/control"
install -m 755 "$here/debian/postinst" "$here/debian/prerm" "$here/debian/postrm" "$stage/DEBIAN/"

mkdir -p "$folder"
# Wheels are compressed already.
dpkg-deb --root-owner-group -Znone --build "$stage" "$folder"
