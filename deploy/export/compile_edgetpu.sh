#!/bin/sh
# Compiles a full-integer model for the Coral Edge TPU, and checks that it all runs there.
# usage: compile_edgetpu.sh [--cpu OPERATORS] MODEL.tflite FOLDER
#   MODEL       8 bits in and out, such as deploy/export or `edge-ssd models prepare --int8` write
#   FOLDER      gets MODEL_edgetpu.tflite, the compiler's operation log, and the manifest with the
#               new file's hash if MODEL has one, beside it or inside
#   OPERATORS   that may stay on the CPU, with commas, as the log names them: RESHAPE,LOGISTIC;
#               without it, one operator off the Edge TPU is a failure, and nothing is written
# environment:
#   PYTHON                  with what edge_ssd needs, to read a manifest inside MODEL; else python3
#   EDGETPU_COMPILER        the compiler, if it is not the edgetpu_compiler on PATH
#   EDGETPU_COMPILER_IMAGE  an image for docker or podman that has it, for other systems
#
# Google ships the compiler as the Debian package edgetpu-compiler, in the Coral package source
# that its page "Edge TPU Compiler" names: for x86-64 only, and for nothing on a Pi. Elsewhere,
# build an image from Debian for x86-64 with that package, and name it.
#
# NOT RUN with the real compiler, which cannot be had where this was written: the options and the
# log's form are from Google's page and from logs of version 16.0 that users posted; the tests run
# a stand-in.
set -eu

fail() {
    printf 'error: %s\n' "$1" >&2
    exit "${2:-1}"
}

usage='usage: compile_edgetpu.sh [--cpu OPERATORS] MODEL.tflite FOLDER'
allowed=
if [ "${1:-}" = --cpu ]; then
    allowed=${2:?"$usage"}
    shift 2
fi
[ $# -eq 2 ] || fail "$usage" 2
model=$1
folder=$2
name=$(basename "$model" .tflite)
[ -f "$model" ] || fail "no model $model"
[ -d "$folder" ] || fail "$folder is no folder, make it first"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$model" "$work/$name.tflite"

# As on loading, the one beside comes first. The compiler need not keep the one inside.
manifest=${model%.tflite}.json
if ! [ -f "$manifest" ] && grep -q edge_ssd_manifest "$model"; then
    manifest=$work/inside.json
    PYTHONPATH=$(dirname "$0")/../.. "${PYTHON:-python3}" - "$model" "$manifest" 2>"$work/output" <<'END' ||
import json, pathlib, sys

from edge_ssd.models import embedded, loading
from edge_ssd.models.graph import Graph

model, target = map(pathlib.Path, sys.argv[1:])
entry = embedded.read(Graph(embedded.without_archive(loading.read(model))), model)
if entry:
    target.write_text(json.dumps(entry.values), "utf-8")
END
        fail "the manifest inside $model cannot be read: $(tail -n 1 "$work/output"); it takes a Python with what edge_ssd needs, named in PYTHON"
fi

if [ -n "${EDGETPU_COMPILER_IMAGE:-}" ]; then
    engine=$(command -v docker || command -v podman) ||
        fail "EDGETPU_COMPILER_IMAGE needs docker or podman, install one" 69
    set -- "$engine" run --rm --platform linux/amd64 --network none --user "$(id -u):$(id -g)" \
        -v "$work:/work" -w /work "$EDGETPU_COMPILER_IMAGE" edgetpu_compiler
else
    compiler=${EDGETPU_COMPILER:-edgetpu_compiler}
    compiler=$(command -v "$compiler") ||
        fail "no ${EDGETPU_COMPILER:-edgetpu_compiler}: install Google's Debian package edgetpu-compiler (x86-64), or name an image that has it in EDGETPU_COMPILER_IMAGE" 69
    set -- "$(realpath "$compiler")"
fi

# -s: the operations with where each runs, which goes to the log too.
(cd "$work" && "$@" -s -o . "$name.tflite") >"$work/output" 2>&1 || {
    cat "$work/output" >&2
    fail "the compiler failed on $model: see above"
}
compiled=$work/${name}_edgetpu.tflite
log=$work/${name}_edgetpu.log
if ! [ -s "$compiled" ] || ! [ -s "$log" ]; then
    cat "$work/output" >&2
    fail "the compiler ended without ${name}_edgetpu.tflite and its log: see above"
fi

# A line of the log's table is an operator, a count and a status.
table=$(grep -E '^[A-Z][A-Z0-9_]* +[0-9]+ +[^ ]' "$log") ||
    fail "the compiler's log has no table of operators, which this script reads"
printf '%s\n' "$table"
stay=$(printf '%s\n' "$table" | awk -v allowed=",$allowed," '
    !/ Mapped to Edge TPU *$/ && !index(allowed, "," $1 ",") { printf "%s%s %s", comma, $2, $1; comma = ", " }')
[ -z "$stay" ] ||
    fail "not all of $name runs on the Edge TPU: $stay would run on the CPU; change the model, or allow them with --cpu"

if [ -f "$manifest" ]; then
    "${PYTHON:-python3}" - "$manifest" "$compiled" "$work/${name}_edgetpu.json" <<'END'
import hashlib, json, pathlib, sys

manifest, compiled, target = map(pathlib.Path, sys.argv[1:])
content = compiled.read_bytes()
described = json.loads(manifest.read_text("utf-8"))
described["name"] = compiled.stem
described["description"] = f"{described.get('description', compiled.stem)}, for the Edge TPU"
described["file"] = {
    "name": compiled.name,
    "sha256": hashlib.sha256(content).hexdigest(),
    "size": len(content),
}
described.pop("golden", None)  # what the Edge TPU finds nobody has looked at
target.write_text(json.dumps(described, ensure_ascii=False) + "\n", "utf-8")
END
    cp "$work/${name}_edgetpu.json" "$folder/"
fi
cp "$log" "$compiled" "$folder/"
printf '%s\n' "$folder/${name}_edgetpu.tflite: all on the Edge TPU${allowed:+, $allowed apart}"
