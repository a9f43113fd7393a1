# A machine with a real systemd in a container, a Docker engine beside it, a simulated miner and PM2: for the suites in shell. It is sourced after
# `program` is set, and leaves `inside`, `ostler`, `give`, `eventually`, `holds`, `fail` and `boot`.
#
# Needs root, Debian's debootstrap, systemd-container, util-linux, docker.io, busybox-static and jq. TESTNODE_BINARY names a simulated miner
# that was built. What is mounted goes with the script, which has to have a namespace of its own:
#
#   [[ -n ${OSTLER_APART-} ]] || OSTLER_APART=yes exec unshare --mount --propagation slave "$0" "$@"
#
# shellcheck shell=bash
set -Eeuo pipefail
me=${0##*/}
program=$(realpath "$program")
node=${TESTNODE_BINARY-tests/testnode/target/x86_64-unknown-linux-gnu/release/testnode}
[[ -x $program ]] || cargo build --locked --bin ostler
[[ -x $node ]] || env -C tests/testnode cargo build --locked --release

work=$(mktemp -d /tmp/ostler-lab-XXXXXX)
name=${work##*/}
leader='' machine='' engine='' registry=''

fail() {
    echo "$me: FAILED: $*" >&2
    [[ -z $leader ]] || inside journalctl --no-pager -n 40 >&2 || true
    exit 1
}

clean_up() {
    trap - ERR
    set +e
    [[ -z $machine ]] || { kill -KILL "$machine"; wait "$machine"; } 2>/dev/null
    [[ -z $engine ]] || { docker rm --force miner >/dev/null; kill "$engine"; wait "$engine"; } 2>/dev/null
    [[ -z $registry ]] || { kill "$registry"; wait "$registry"; } 2>/dev/null
    awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount
    find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null
    rm -rf --one-file-system "$work"
}
trap clean_up EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
trap 'exit 130' INT TERM

inside() { nsenter --target "$leader" --all -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null; }

# eventually SECONDS WHAT COMMAND...: asks again until it succeeds.
eventually() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "not within its time: $what"
        sleep 0.2
    done
}

holds() { echo "$me: $*"; }

# The root file system: that of tests/lab/nspawn.rs with what a host of each kind has beside it. A new name for every change.
constant() { sed -n "s/^const $2: .* = \"\{0,1\}\([^\";]*\)\"\{0,1\};/\1/p" "tests/lab/$1.rs"; }
cache=${XDG_CACHE_HOME-/var/cache}/ostler-lab
suite=$(constant nspawn SUITE)
root=$cache/$suite-hosts-2
packages=$(constant nspawn PACKAGES),python3,nodejs,rclone,mosquitto,mosquitto-clients,openssl,ca-certificates
mkdir -p "$cache"
exec {lock}>"$cache/lock"
flock "$lock"
if [[ ! -e $root ]]; then
    tests/lab/discard "$root.partial"
    debootstrap --variant=minbase --include="$packages" "$suite" "$root.partial" >"$work/debootstrap" 2>&1 ||
        { cat "$work/debootstrap" >&2; exit 1; }
    mv "$root.partial" "$root"
fi
flock --unlock "$lock"

# What goes in: two versions of the package, the archive, the simulated miner.
mkdir "$work/in"
if [[ -z ${OSTLER_PAGES-} ]]; then
    cargo build --locked --quiet --example pages
    OSTLER_PAGES=$(realpath "${CARGO_TARGET_DIR-target}/debug/examples/pages")
    export OSTLER_PAGES
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
for each in "$version" "$version+1"; do
    packaging/build-deb "$(uname -m)-unknown-linux-musl" --program "$program" --version "$each" --out "$work/in" --fast >/dev/null
done
packaging/build-tarball "$(uname -m)-unknown-linux-musl" --program "$program" --out "$work/in" >/dev/null
cp "$node" "$work/in/testnode"

# PM2 as Debian's own npm installs it for all users, below /usr/local. That npm is hundreds of packages, so they are put over the root once, and
# what it has installed is kept. It trusts whom this host trusts. npm heeds no lock where it installs for all users, so here it installs where it
# would, and its link is made by hand.
locked=tests/lab/pm2
pm2=$cache/$suite-pm2-$(cat "$locked/"package{,-lock}.json | sha256sum | head -c 12)-1
flock "$lock"
if [[ ! -e $pm2 ]]; then
    over=$work/npm
    mkdir "$over"
    mount -t tmpfs -o mode=755 ostler-lab "$over"
    mkdir "$over/"{upper,work,root}
    mount -t overlay -o "lowerdir=$root,upperdir=$over/upper,workdir=$over/work" ostler-lab "$over/root"
    mount --rbind /dev "$over/root/dev"
    mount -t proc proc "$over/root/proc"
    cp -L /etc/resolv.conf "$over/root/etc/resolv.conf"
    cp -L /etc/ssl/certs/ca-certificates.crt "$over/root/etc/trusted.pem"
    {
        chroot "$over/root" apt-get -q update
        chroot "$over/root" apt-get -q -y --no-install-recommends install npm
        cp "$locked/"package{,-lock}.json "$over/root/usr/local/lib/"
        chroot "$over/root" env npm_config_cafile=/etc/trusted.pem \
            npm ci --prefix /usr/local/lib --no-audit --no-fund --ignore-scripts
        rm "$over/root/usr/local/lib/"package{,-lock}.json
        ln -s ../lib/node_modules/pm2/bin/pm2 "$over/root/usr/local/bin/pm2"
    } >"$work/npm.log" 2>&1 </dev/null || { cat "$work/npm.log" >&2; exit 1; }
    rm -rf "$pm2.partial"
    cp -a "$over/upper/usr/local" "$pm2.partial"
    mv "$pm2.partial" "$pm2"
    umount --recursive "$over"
fi
exec {lock}>&-

# What outlives a boot of the machine: its root, and its data on a filesystem that can link (an overlay shows its files on other devices
# than its directories).
mkdir "$work/disk" "$work/root"
mount -t tmpfs -o mode=755 ostler-lab "$work/disk"
mkdir "$work/disk/"{upper,work,srv,opt,home}
mount -t overlay -o "lowerdir=$root,upperdir=$work/disk/upper,workdir=$work/disk/work" ostler-lab "$work/root"

# What the machine has beside that, as arguments of systemd-nspawn.
beside=()

# An engine with a miner, whose data is at one place for the engine and for the machine.
mount --bind "$work/disk/srv" /srv
export DOCKER_HOST=unix://$work/docker.sock
setsid dockerd --host "$DOCKER_HOST" --data-root "$work/docker" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
    --cgroup-parent "$name" --bridge none --iptables=false >"$work/docker.log" 2>&1 </dev/null &
engine=$!
eventually 60 'the engine starts' docker version
TESTNODE_BINARY=$(realpath "$node") tests/testnode/image miner >/dev/null

# run_miner DIRECTORY [IMAGE]: a container named as the firmwares name theirs.
run_miner() {
    docker run --detach --name miner --network none --restart unless-stopped --volume "$1:/var/data" "${2-miner}" >/dev/null
}

# boot: the machine, with a network of its own. It ends with this script, in whatever way that ends: the kernel kills the first process of its
# namespace.
boot() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [[ ! -e $hierarchy/cgroup.procs ]] || mkdir -p "$hierarchy/$name"
    done 2>/dev/null
    (
        for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
            [[ ! -e $hierarchy/$name/cgroup.procs ]] || echo "$BASHPID" >"$hierarchy/$name/cgroup.procs"
        done
        exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc --propagation slave \
            systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe --machine="$name" --directory="$work/root" \
            --bind-ro="$work/in:/in" --bind="$work/docker.sock:/run/docker.sock" \
            --bind="$work/disk/srv:/srv" --bind="$work/disk/home:/home" "${beside[@]}" --boot >>"$work/console" 2>&1 </dev/null
    ) &
    machine=$! leader=''
    eventually 120 'the machine boots' first_process
    eventually 120 'its systemd runs' eval '[[ $(inside systemctl is-system-running) =~ running|degraded ]]'
}
# throw_away: the machine and all that was on it, but what its containers keep; another one can boot.
throw_away() {
    kill -KILL "$machine"
    wait "$machine" 2>/dev/null || true
    eventually 30 'all its processes are gone' eval '! first_process'
    machine='' leader=''
    eventually 30 'the root file system is free' umount "$work/root"
    rm -rf "$work/disk/"{upper,work,home}
    mkdir "$work/disk/"{upper,work,home}
    mount -t overlay -o "lowerdir=$root,upperdir=$work/disk/upper,workdir=$work/disk/work" ostler-lab "$work/root"
}
first_process() {
    local hierarchy
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
        leader=$(head -n 1 "$hierarchy/$name/payload/init.scope/cgroup.procs" 2>/dev/null) && [[ -n $leader ]] && return
    done
    return 1
}

# give FILE: writes standard input into a file in the machine.
give() { nsenter --target "$leader" --all -- tee "$1" >/dev/null; }
unit() { inside systemctl show --value -p "$1" ostler.service; }
ostler() { inside ostler --json "$@"; }
# try OPERATION ARGUMENT...: one that has to succeed; what it said is in $work/said, and $tried has all that did.
tried=' '
try() {
    ostler "$@" >"$work/said" 2>&1 || fail "$*: $(cat "$work/said")"
    tried+="$1 "
}
# The height of the node, by the node itself.
height() { inside env TESTNODE_RUN=/run/node /in/testnode status | jq -e .height; }
is() { [[ $("${@:2}") == "$1" ]]; }


# A validator in the PM2 of another user, and what runs as that user.
validator=/home/taoshi/proprietary-trading-network
lodge_validator() {
    inside useradd --create-home --shell /bin/bash taoshi
    cp -r tests/lab/validator "$work/disk$validator"
    mkdir -p "$work/disk$validator/"{validation/miners,meta}
    echo '{"subnet_version": "7.1.1"}' >"$work/disk$validator/meta/meta.json"
    cp tests/data/checkpoint/tiny/validator_checkpoint.json.gz "$work/disk$validator/"
    inside chown -R taoshi:taoshi "$validator"
    cp -a "$pm2/." "$work/root/usr/local/"
    as_taoshi env -C "$validator" pm2 start run.sh --name sn8 -- --netuid 8 >"$work/said" 2>&1 || fail "pm2: $(cat "$work/said")"
    eventually 60 'the validator runs' is online app ptn
}
as_taoshi() { inside runuser -u taoshi -- env HOME=/home/taoshi PATH=/usr/local/bin:/usr/bin:/bin "$@"; }
# app NAME: its status, as PM2 says it.
app() { as_taoshi pm2 jlist 2>/dev/null | sed -n 's/^[^[]*\(\[{.*\)/\1/p' | jq -r --arg app "$1" '.[] | select(.name == $app) | .pm2_env.status'; }
