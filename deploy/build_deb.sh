#!/bin/sh
# Builds edge-ssd_VERSION+PYTHON_ARCHITECTURE.deb, which can be installed offline.
# usage: build_deb.sh TARGET FOLDER [WHEELS]
#   TARGET  processor and Python, such as aarch64-py311: a file in constraints/
#   FOLDER  where the package goes
#   WHEELS  a folder that `pins.py download TARGET` filled; else they are downloaded
# Needs dpkg-deb; for the download also python3 with pip, and network access.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
target=${1:?"a target is missing, such as aarch64-py311"}
folder=${2:?"the folder for the package is missing"}
wheels=${3:-}

machine=${target%-py3*}
minor=${target##*-py3}
pins=$here/constraints/$target.txt

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Whether pip accepts a wheel on the target, by the last three parts of its name.
fits() {
    name=$(basename "$1" .whl)
    platform=${name##*-} name=${name%-*}
    abi=${name##*-} name=${name%-*}
    python=${name##*-}
    case $platform in any | linux_"$machine" | manylinux*_"$machine") ;; *) return 1 ;; esac
    case $python-$abi in
        py3-none | py2.py3-none | "cp3$minor-cp3$minor" | "cp3$minor-none") ;;
        cp3*-abi3) [ "${python#cp3}" -le "$minor" ] ;; # for that Python and every later one
        *) return 1 ;;
    esac
}

# "NAME==VERSION" of each line as wheels are named: only the name's case and punctuation vary.
as_named() { sed 's/==/ /' | tr 'A-Z.-' 'a-z__' | tr -s _; }

check_wheels() {
    refill="fill a new folder with deploy/constraints/pins.py download $target FOLDER"
    [ -d "$wheels" ] || fail "$wheels is not a folder: $refill"
    for wheel in "$wheels"/*.whl; do
        [ ! -e "$wheel" ] || fits "$wheel" ||
            fail "$wheel is not for $machine and Python 3.$minor: $refill"
    done
    there=$(find "$wheels" -maxdepth 1 -name '*.whl' -printf '%f\n' |
        sed 's/^\([^-]*\)-\([^-]*\)-.*/\1==\2/' | as_named)
    { grep -v '^#' "$pins" && echo "edge-ssd==$own_version"; } | while read -r pin; do
        printf '%s\n' "$there" | grep -qxF "$(echo "$pin" | as_named)" ||
            fail "$wheels lacks $pin: $refill"
    done
    # A wheel of the same version may contain another checkout's code.
    python3 -m zipfile -e "$wheels"/edge_ssd-*.whl "$stage/own" 2>/dev/null ||
        fail "the wheel of edge-ssd in $wheels is damaged: $refill"
    diff --recursive --brief --exclude=__pycache__ "$checkout/edge_ssd" "$stage/own/edge_ssd" \
        >/dev/null || fail "the wheel of edge-ssd in $wheels is of another checkout: $refill"
    rm -rf "$stage/own"
}

[ -e "$pins" ] || fail "$target is no target: use the name of a file in deploy/constraints," \
    "such as aarch64-py311"
case $machine in
    aarch64) architecture=arm64 ;;
    x86_64) architecture=amd64 ;;
    armv7l) architecture=armhf ;;
esac
own_version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$checkout/edge_ssd/__init__.py")
version=$own_version+py3$minor
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
[ -z "$wheels" ] || check_wheels

# The same tree as the checkout's, and the wheels: install.sh works in it as it does there.
files=$stage/usr/lib/edge-ssd
mkdir -p "$files/deploy/constraints" "$stage/usr/share/doc/edge-ssd" "$stage/DEBIAN"
cp -R "$here/install.sh" "$here/uninstall.sh" "$here/apt" "$here/udev" "$files/deploy/"
cp "$pins" "$files/deploy/constraints/"
cp -R "$checkout/systemd" "$checkout/configs" "$checkout/docs" "$checkout"/*.md \
    "$checkout/LICENSE" "$checkout/NOTICE" "$files/"
for name in configs docs README.md CHANGELOG.md LICENSE NOTICE; do
    ln -s "../../../lib/edge-ssd/$name" "$stage/usr/share/doc/edge-ssd/"
done
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
