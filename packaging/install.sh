#!/bin/sh
# Installs Ostler on a host with systemd and without dpkg, from the archive that this lies in. Needs root and nothing but a shell.
#
#   ./install.sh [--root DIR]                       installs, or upgrades what is installed, and starts it
#   ./install.sh --remove [--purge] [--root DIR]    removes it; with --purge also its configuration, its secrets and its journal
#
# The program goes to /usr/local/bin, the rest to /etc, /usr/local/share and /var/lib. A configuration that is there is kept. With --root DIR
# everything goes below DIR, and nothing is started: for making an image.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 64; }
say() { echo "install.sh: $*"; }
fail() { echo "install.sh: $*" >&2; exit 1; }

root='' remove=false purge=false
while [ $# -gt 0 ]; do
    case $1 in
        --root) [ $# -gt 1 ] || usage; root=${2%/}; shift ;;
        --remove) remove=true ;;
        --purge) purge=true ;;
        *) usage ;;
    esac
    shift
done
! $purge || $remove || usage
[ -n "$root" ] || [ "$(id -u)" = 0 ] || fail 'run this as root'
live=false
[ -n "$root" ] || [ ! -d /run/systemd/system ] || live=true

# put MODE FILE DESTINATION: whole or not at all, though the program that it replaces may be running.
put() {
    mkdir -p "$root$(dirname "$3")"
    cp "$2" "$root$3.new-$$"
    chmod "$1" "$root$3.new-$$"
    mv -f "$root$3.new-$$" "$root$3"
}

share=/usr/local/share
if $remove; then
    if $live; then systemctl disable --now ostler.service || true; fi
    rm -f "$root/usr/local/bin/ostler" "$root/etc/systemd/system/ostler.service" "$root/etc/systemd/system-generators/ostler-generator"
    rm -f "$root/etc/systemd/system/multi-user.target.wants/ostler.service" "$root/etc/tmpfiles.d/ostler.conf"
    rm -f "$root$share"/man/man1/ostler.1.gz "$root$share"/man/man1/ostler-*.1.gz "$root$share/bash-completion/completions/ostler"
    rm -rf "$root$share/doc/ostler"
    if $purge; then
        rm -rf "$root/etc/ostler" "$root/var/lib/ostler"
        rm -f "$root"/etc/credstore/ostler.*
    fi
    if $live; then systemctl daemon-reload; fi
    say 'removed'
    exit 0
fi

"$here/root/usr/bin/ostler" --version >/dev/null 2>&1 || [ -n "$root" ] ||
    fail "the program does not run here ($(uname -m)): take the archive for this machine's processor"

# The group: by the host's own program, or by a line in its file where it has none.
if ! grep -q '^ostler:' "$root/etc/group" 2>/dev/null; then
    # Programs of this name differ; what none of them can do is done by hand.
    if [ -n "$root" ] || ! { groupadd --system ostler || addgroup -S ostler; } >/dev/null 2>&1; then
        number=999
        while cut -d: -f3 "$root/etc/group" 2>/dev/null | grep -qx "$number"; do number=$((number - 1)); done
        mkdir -p "$root/etc"
        echo "ostler:x:$number:" >>"$root/etc/group"
    fi
fi

put 755 "$here/root/usr/bin/ostler" /usr/local/bin/ostler
for file in lib/systemd/system/ostler.service lib/systemd/system-generators/ostler-generator; do
    adapted=$(mktemp)
    sed 's|/usr/bin/ostler|/usr/local/bin/ostler|g' "$here/root/usr/$file" >"$adapted"
    case $file in
        *.service) put 644 "$adapted" /etc/systemd/system/ostler.service ;;
        *) put 755 "$adapted" /etc/systemd/system-generators/ostler-generator ;;
    esac
    rm -f "$adapted"
done
put 644 "$here/root/usr/lib/tmpfiles.d/ostler.conf" /etc/tmpfiles.d/ostler.conf
for page in "$here"/root/usr/share/man/man1/*; do
    put 644 "$page" "$share/man/man1/${page##*/}"
done
for page in "$here"/root/usr/share/doc/ostler/*; do
    put 644 "$page" "$share/doc/ostler/${page##*/}"
done
put 644 "$here/root/usr/share/bash-completion/completions/ostler" "$share/bash-completion/completions/ostler"
if [ -e "$root/etc/ostler/ostler.toml" ]; then
    put 644 "$here/root/etc/ostler/ostler.toml" "$share/doc/ostler/ostler.toml"
    say "/etc/ostler/ostler.toml is kept; $share/doc/ostler/ostler.toml is the sample of this version"
else
    put 644 "$here/root/etc/ostler/ostler.toml" /etc/ostler/ostler.toml
fi
mkdir -p "$root/var/lib/ostler" "$root/etc/credstore"
chmod 750 "$root/var/lib/ostler"
chmod 700 "$root/etc/credstore"

mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../ostler.service "$root/etc/systemd/system/multi-user.target.wants/ostler.service"
if $live; then
    systemctl daemon-reload
    systemctl restart ostler.service
    say 'installed and started; `ostler doctor` says how it finds this host'
else
    say 'installed; systemd starts it with the host'
fi
