#!/bin/sh
# Installs edge_ssd as a service, or upgrades it; docs/install.md describes it.
# If a step fails, the changes are undone and the previous version continues to run.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin # su leaves them out

usage="usage: install.sh [--wheels FOLDER] [--dry-run]
  --wheels FOLDER  take every Python package from this folder, offline
  --dry-run        print the steps, change nothing"
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(dirname "$here")
opt=/opt/edge-ssd # a link to one of two folders, .a and .b: an upgrade fills the other one
etc=/etc/edge-ssd
command=/usr/local/bin/edge-ssd
units=/usr/lib/systemd/system
wheels=
dry_run=
work=$opt.tmp # on the card, not in /tmp: that may be half of a small memory, as on Trixie
begun=$opt.begun # is there from a first installation's switch until its service is enabled
pins=
undo=

say() { printf '%s\n' "$*"; }
step() { say "== $*"; }
warn() { say "warning: $*" >&2; }
run() { if [ -n "$dry_run" ]; then say "   $*"; else "$@"; fi; }

fail() {
    say "error: $*" >&2
    exit 1
}

# A command that undoes the next step; they run in reverse order.
undo_with() { undo="$*; $undo"; }

leave() {
    status=$?
    trap - EXIT
    trap '' HUP INT TERM # a second Ctrl-C must not stop what takes the first steps back
    set +e
    if [ "$status" -ne 0 ] && [ -n "$undo" ] && [ -z "$dry_run" ]; then
        say "The installation failed: undoing its changes" >&2
        eval "$undo"
        say "Everything is as before, except for new Debian packages and groups" >&2
    fi
    [ -n "$dry_run" ] || rm -rf "$work"
    exit "$status"
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --wheels)
                [ -d "${2:-}" ] || fail "--wheels needs a folder, and '${2:-}' is not one"
                wheels=$(cd "$2" && pwd)
                shift
                ;;
            --dry-run) dry_run=yes ;;
            --help | -h) say "$usage" && exit 0 ;;
            *) say "$usage" >&2 && exit 2 ;;
        esac
        shift
    done
}

check_rights() {
    [ -n "$dry_run" ] || [ "$(id -u)" -eq 0 ] || fail "this needs root: run it with sudo"
    # Set by dpkg where the package's own scripts call this.
    if [ -z "${DPKG_MAINTSCRIPT_NAME:-}" ] && [ -e /var/lib/dpkg/info/edge-ssd.postinst ]; then
        fail "the Debian package edge-ssd is installed: upgrade that, or apt remove edge-ssd first"
    fi
    case $(readlink "$opt" || true) in
        "$opt.a" | "$opt.b") ;;
        *) ! exists "$opt" || fail "$opt is not this installer's: move it away" ;;
    esac
    if exists "$etc/edge-ssd.yaml" && [ ! -f "$etc/edge-ssd.yaml" ]; then
        fail "$etc/edge-ssd.yaml is not a file, or links to none: mount its disk, or remove the link"
    fi
}

exists() { [ -e "$1" ] || [ -L "$1" ]; }

# Two installers at once would remove each other's files.
lock() {
    exec 9</opt
    flock --nonblock 9 || fail "another installation is running: wait for its end"
}

# The system's own architecture: a 32-bit Pi OS often has a 64-bit kernel, so uname misleads.
# And the MB it needs: a finished environment, measured by du (262, 355 and 57 for Python 3.11),
# and a tenth; the downloads pip holds meanwhile (73, 103 and 13), and 30 for building ours.
find_machine() {
    command -v dpkg >/dev/null || fail "this is not Debian: use Raspberry Pi OS or Debian"
    debian=$(dpkg --print-architecture)
    case $debian in
        arm64) machine=aarch64 environment=290 downloads=105 ;;
        amd64) machine=x86_64 environment=390 downloads=135 ;;
        armhf) machine=armv7l environment=65 downloads=45 ;;
        *) fail "no TensorFlow Lite runtime exists for $debian: use a 64-bit ARM or x86 machine" ;;
    esac
    if [ "$(uname -m)" = armv6l ]; then
        fail "no TensorFlow Lite runtime exists for ARMv6 (Pi 1, Pi Zero): use a Zero 2 W or newer"
    fi
}

find_pins() {
    [ -x /usr/bin/python3 ] || return 0 # not yet
    python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    pins=$here/constraints/$machine-py$(printf %s "$python" | tr -d .).txt
    [ -e "$pins" ] && return
    if [ "$machine" = armv7l ]; then
        fail "no TensorFlow Lite runtime exists for 32 bits and Python $python:" \
            "flash the 64-bit Raspberry Pi OS"
    fi
    fail "Python $python is not supported: use Raspberry Pi OS or Debian, 12 or newer"
}

find_folders() {
    previous=$(readlink "$opt" || true)
    new=$opt.a
    [ "$previous" != "$new" ] || new=$opt.b
    first=
    if [ -z "$previous" ] || [ -e "$begun" ]; then first=yes; fi
}

# For an upgrade as well: the previous version stays until the new one works. The remains of a
# killed installation count as free space.
check_space() {
    needed=$environment
    [ -n "$wheels" ] || needed=$((needed + downloads))
    place=/opt
    [ -d "$place" ] || place=/
    free=$(($(stat --file-system --format='%a * %S' "$place") / 1048576))
    left=$(du --summarize --total --block-size=1M "$new" "$work" 2>/dev/null | tail -n 1 | cut -f 1)
    free=$((free + left))
    [ "$free" -ge "$needed" ] || fail "$place needs $needed MB of free space and has $free:" \
        "make room (sudo apt clean; sudo journalctl --vacuum-size=50M) or use a larger card"
    [ -z "$dry_run" ] || step "free space: $place needs $needed MB and has $free"
}

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
    # After a power cut in the middle of dpkg, apt refuses to continue without this.
    run env DEBIAN_FRONTEND=noninteractive dpkg --configure -a &&
        run apt-get update &&
        run env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install_packages() {
    [ -z "${DPKG_MAINTSCRIPT_NAME:-}" ] || return 0 # they are the package's dependencies
    missing=
    for package in $(cat "$here/apt/all.txt" "$here/apt/$machine.txt" 2>/dev/null || true); do
        is_installed "$package" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        step "Debian packages:$missing"
        # shellcheck disable=SC2086 # several words
        apt_install $missing || fail "network access is needed once, to install$missing: see above"
    fi
    if [ -e /etc/rpi-issue ] && ! is_installed python3-picamera2; then
        step "picamera2, for cameras on the Pi's own connector"
        apt_install python3-picamera2 ||
            warn "a Pi camera will not work before: sudo apt install python3-picamera2"
    fi
    [ -n "$dry_run" ] || check_space # they may have taken it
}

# The groups that own cameras, the GPU and the Coral stick.
make_groups() {
    for group in video render plugdev; do
        getent group "$group" >/dev/null || run groupadd --system "$group"
    done
}

build_environment() {
    step "a virtual environment in $new"
    undo_with "rm -rf $new"
    run rm -rf "$new"
    run /usr/bin/python3 -m venv --system-site-packages "$new"
    # The pins are complete. Their packages must not come from the system, and markers must not
    # be evaluated: on a 64-bit kernel a 32-bit Python reports aarch64.
    if [ -n "$wheels" ]; then
        pip --no-index --find-links "$wheels" -r "$pins" edge-ssd ||
            fail "$wheels lacks what is named above: fill it with" \
                "deploy/constraints/pins.py download $(basename "$pins" .txt) FOLDER"
        run check_wheel
    else
        pip -r "$pins" "$checkout"
    fi
    run cp -R "$checkout/configs" "$checkout/docs" "$checkout"/*.md "$checkout/LICENSE" \
        "$checkout/NOTICE" "$new/"
    run install -m 755 "$here/uninstall.sh" "$new/uninstall.sh"
    step "one frame through the new environment"
    run try_it
    run write_completion
}

# Wheels of an earlier checkout would silently bring its code.
check_wheel() {
    [ ! -d "$checkout/edge_ssd" ] ||
        diff --recursive --brief --exclude=__pycache__ "$checkout/edge_ssd" \
            "$new"/lib/python*/site-packages/edge_ssd >"$work/differences" ||
        fail "the wheel of edge-ssd in $wheels is of another checkout: fill a new folder with pins.py"
}

# Compiled once, here: the service may not write. It then starts twice as fast.
pip() {
    run "$new/bin/python" -m pip install --quiet --disable-pip-version-check \
        --root-user-action=ignore --no-cache-dir --no-deps --compile "$@"
}

try_it() {
    printf '{name: trial, source: {type: synthetic, frame_limit: 1, live: false}}\n' \
        >"$work/trial.yaml"
    "$new/bin/edge-ssd" run --config "$work/trial.yaml" >"$work/trial.jsonl" 2>"$work/trial.log" ||
        fail "the new environment does not work: $(tail -n 1 "$work/trial.log")"
    grep -q '"schema":' "$work/trial.jsonl" || fail "the new environment gave no message"
}

write_completion() {
    _EDGE_SSD_COMPLETE=bash_source "$new/bin/edge-ssd" >"$work/completion"
}

# put MODE FILE TARGET: a power cut leaves the old file or the new one, never a part.
put() {
    install -D -m "$1" "$2" "$3.next" && sync "$3.next" && mv -f "$3.next" "$3"
}

# place MODE FILE TARGET: put it so that it can be undone.
place() {
    ! exists "$3.next" || run rm -f "$3.next" # from an installation that was killed
    if [ -e "$3" ]; then
        cmp -s "$2" "$3" && return
        saved=$work/$(basename "$3")
        run cp -p "$3" "$saved"
        undo_with "put $1 $saved $3"
    else
        undo_with "rm -f $3 $3.next"
    fi
    run put "$1" "$2" "$3"
}

place_system_files() {
    step "systemd units, lock folder, udev rules, completion for bash"
    systemd=$checkout/systemd
    run write_single_unit
    place 644 "$work/single" "$units/edge-ssd.service"
    place 644 "$systemd/edge-ssd@.service" "$units/edge-ssd@.service"
    place 644 "$systemd/edge-ssd.tmpfiles" /usr/lib/tmpfiles.d/edge-ssd.conf
    place 644 "$here/udev/60-edge-ssd.rules" /usr/lib/udev/rules.d/60-edge-ssd.rules
    place 644 "$work/completion" /usr/share/bash-completion/completions/edge-ssd
    run systemd-tmpfiles --create /usr/lib/tmpfiles.d/edge-ssd.conf
    if [ -S /run/udev/control ]; then
        run udevadm control --reload
        run udevadm trigger --subsystem-match=usb --subsystem-match=apex
    fi
}

write_single_unit() {
    sed -f "$systemd/single.sed" "$systemd/edge-ssd@.service" >"$work/single"
}

place_configuration() {
    step "configuration in $etc"
    sample=$checkout/configs/service.yaml
    [ -d "$etc" ] || undo_with "rmdir $etc"
    place 644 "$checkout/configs/edge-ssd.schema.json" "$etc/edge-ssd.schema.json"
    if [ ! -e "$etc/edge-ssd.yaml" ]; then
        place 644 "$sample" "$etc/edge-ssd.yaml"
    elif ! cmp -s "$sample" "$etc/edge-ssd.yaml"; then
        say "$etc/edge-ssd.yaml stays as it is; the new sample is edge-ssd.yaml.new"
        place 644 "$sample" "$etc/edge-ssd.yaml.new"
    else
        run rm -f "$etc/edge-ssd.yaml.new"
    fi
}

point_to() {
    ln -sfn "$1" "$opt.next"
    mv -T "$opt.next" "$opt"
}

switch() {
    step "$opt leads to $new"
    if [ -z "$previous" ]; then
        undo_with "rm -f $begun"
        run touch "$begun"
    fi
    run sync # a power cut must not leave half of it
    if [ -n "$previous" ]; then undo_with "point_to $previous"; else undo_with "rm -f $opt"; fi
    run point_to "$new"
    if ! exists "$command"; then
        undo_with "rm -f $command"
        run ln -s "$opt/bin/edge-ssd" "$command"
    elif [ "$(readlink "$command")" != "$opt/bin/edge-ssd" ]; then
        warn "$command is not this installer's and stays; the command is $opt/bin/edge-ssd"
    fi
}

services() {
    [ ! -d /run/systemd/system ] || systemctl list-units --plain --no-legend --state="$1" \
        'edge-ssd.service' 'edge-ssd@*.service' | cut -d ' ' -f 1
}

# Remembered before anything they use is changed; so they are undone after all that is.
note_services() {
    running=
    troubled=$(services activating,failed)
    for unit in $(services active); do
        case $(status_of "$unit") in
            *"no frame for"*) troubled="$troubled $unit" ;; # its camera is away: not our doing
            *) running="$running $unit" ;;
        esac
    done
    undo_with restore_services
}

restore_services() {
    [ -d /run/systemd/system ] || return
    systemctl daemon-reload
    for unit in $running; do start "$unit"; done
    for unit in $troubled; do start "$unit" 30 || true; done
}

# start UNIT [SECONDS]: wait until it has inferred its first frame, has failed, or the time is up;
# then it continues by itself.
start() {
    run systemctl reset-failed "$1" 2>/dev/null || true
    run timeout "${2:-0}" systemctl restart "$1" 2>/dev/null
}

status_of() { systemctl show --property=StatusText --value "$1"; }

# A unit that ran must run again, or all is undone; one without its camera may keep retrying.
start_services() {
    step "services"
    if [ -n "$first" ]; then
        undo_with "systemctl --quiet disable --now edge-ssd"
        run systemctl --quiet enable edge-ssd
        troubled="$troubled edge-ssd.service"
    fi
    [ -d /run/systemd/system ] || { say "they start at the next boot" && return; }
    run systemctl daemon-reload
    for unit in $running; do
        start "$unit" || fail "$unit ran before, and now: $(status_of "$unit")"
    done
    for unit in $troubled; do
        start "$unit" 30 || warn "$unit is not ready yet: $(status_of "$unit")"
    done
}

finish() {
    undo=
    run sync # before what a power cut would bring back is removed
    run rm -f "$begun"
    [ -z "$previous" ] || run rm -rf "$previous"
    step "doctor"
    run "$opt/bin/edge-ssd" doctor --config "$etc/edge-ssd.yaml" ||
        warn "the doctor found something to do; see above"
    [ -n "$dry_run" ] || say "Done. Configuration: $etc/edge-ssd.yaml. To uninstall: $opt/uninstall.sh"
}

main() {
    read_arguments "$@"
    check_rights
    find_machine
    find_pins # refuses, if it must, before anything is touched
    [ -n "$dry_run" ] || lock
    find_folders
    check_space
    if [ -z "$dry_run" ]; then
        rm -rf "$work"
        mkdir -m 700 "$work"
    fi
    trap leave EXIT
    trap 'say "interrupted" >&2; exit 130' HUP INT TERM
    install_packages
    find_pins
    [ -n "$pins" ] || { say "   the rest depends on the Python that this installs" && exit; }
    make_groups
    export TMPDIR="$work" # what an interrupted step leaves there goes with it
    build_environment
    note_services
    place_system_files
    place_configuration
    switch
    start_services
    finish
}

main "$@"
