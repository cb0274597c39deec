#!/bin/sh
# Removes what install.sh installed, and prints what stays.
set -eu
PATH=$PATH:/usr/sbin:/sbin

opt=/opt/edge-ssd
etc=/etc/edge-ssd
purge=

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

systemd_runs() { [ -d /run/systemd/system ]; }

remove_services() {
    # Those that run, and those that would at the next boot.
    for unit in edge-ssd.service $(
        find /etc/systemd/system -name 'edge-ssd@*.service' -type l -exec basename {} \;
        ! systemd_runs || systemctl list-units --all --plain --no-legend 'edge-ssd@*.service' |
            cut -d ' ' -f 1
    ); do
        ! systemd_runs || systemctl stop "$unit" 2>/dev/null || true
        systemctl --quiet disable "$unit" 2>/dev/null || true
    done
    for unit in edge-ssd.service edge-ssd@.service; do
        rm -f "/usr/lib/systemd/system/$unit" "/usr/lib/systemd/system/$unit.next"
    done
    if systemd_runs; then
        systemctl daemon-reload
        systemctl reset-failed 'edge-ssd.service' 'edge-ssd@*.service' 2>/dev/null || true
    fi
}

remove_files() {
    for file in lib/tmpfiles.d/edge-ssd.conf lib/udev/rules.d/60-edge-ssd.rules \
        share/bash-completion/completions/edge-ssd; do
        rm -f "/usr/$file" "/usr/$file.next" # .next: of an installation that was killed
    done
    rm -rf /run/lock/edge-ssd
    [ ! -S /run/udev/control ] || udevadm control --reload
    if [ "$(readlink /usr/local/bin/edge-ssd)" = "$opt/bin/edge-ssd" ]; then
        rm /usr/local/bin/edge-ssd
    fi
    case $(readlink "$opt" || true) in "$opt.a" | "$opt.b") rm "$opt" ;; esac
    rm -rf "$opt.a" "$opt.b" "$opt.next" "$opt.tmp" "$opt.begun"
    [ -z "$purge" ] || rm -rf "$etc"
}

say_what_is_left() {
    echo "edge_ssd is removed. These stay:"
    [ ! -d "$etc" ] || echo "  $etc (--purge removes it)"
    for place in /etc/systemd/system/edge-ssd*.d /etc/systemd/system/edge-ssd*.service; do
        [ ! -e "$place" ] || echo "  $place, your changes to the unit"
    done
    [ ! -e "$opt" ] || echo "  $opt, which install.sh did not make"
    echo "  the Debian packages and the groups video, render and plugdev, which others may use"
    echo "  the entries in the journal"
}

main() {
    case ${1:-} in
        "") ;;
        --purge) purge=yes ;;
        *) echo "usage: uninstall.sh [--purge]" && exit 2 ;;
    esac
    [ "$(id -u)" -eq 0 ] || fail "this needs root: run it with sudo"
    # Set by dpkg where the package's own scripts call this.
    if [ -z "${DPKG_MAINTSCRIPT_NAME:-}" ] && [ -e /var/lib/dpkg/info/edge-ssd.postinst ]; then
        fail "the Debian package edge-ssd is installed: apt remove edge-ssd"
    fi
    exec 9</opt
    flock --nonblock 9 || fail "an installation is running: wait for its end"
    remove_services
    remove_files
    say_what_is_left
}

main "$@"
