#!/bin/sh
# Installs what squall needs from Debian or Ubuntu: `nft` (partitions), `iptables` (packet faults), and `ip`, which only
# the tests use.
# Everything else is in the binary. With `--all` it also installs what some tests try squall on, `sshd` (whose service stays
# off) among that; where it is missing, those tests say so and do nothing. Run it as root, or with sudo at hand.
#
# With `--qemu` it also installs qemu (some 150 MB with what it needs) and puts Debian's cloud kernel (27 MB, unpacked 120 MB)
# into the user's cache, not into /boot: some tests need a kernel with netem, and boot one in a virtual machine. They take
# minutes: `SQUALL_GUEST=1 cargo test netem` asks for them.
set -eu

programs="ip:iproute2 nft:nftables iptables:iptables"
kernel=${XDG_CACHE_HOME:-$HOME/.cache}/squall/kernel
unpack=""
for option in "$@"; do
    case "$option" in
    --all)
        programs="$programs etcd:etcd-server python3:python3 redis-server:redis-server sqlite3:sqlite3"
        programs="$programs ssh:openssh-client sshd:openssh-server sudo:sudo"
        ;;
    --qemu)
        programs="$programs qemu-system-x86_64:qemu-system-x86 cpio:cpio depmod:kmod"
        [ -d "$kernel" ] || unpack=yes
        ;;
    *) echo "setup: $option means nothing; give --all, --qemu, both or nothing" >&2; exit 2 ;;
    esac
done
need=""
for pair in $programs; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || need="$need ${pair##*:}"
done
# zstd is built from C source by its crate.
command -v cc >/dev/null 2>&1 || need="$need gcc libc6-dev"
if [ -z "$need$unpack" ]; then
    echo "setup: nothing to install"
    exit 0
fi

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
# Nobody asked for a machine that can be logged into: the tests start an sshd of their own.
case "$need" in
*openssh-server*) ! command -v systemctl >/dev/null 2>&1 || $sudo systemctl mask -q ssh.service ssh.socket || true ;;
esac
# The tests start a redis of their own, too.
case "$need" in
*redis-server*) ! command -v systemctl >/dev/null 2>&1 || $sudo systemctl mask -q redis-server.service || true ;;
esac
$sudo apt-get update -qq
# shellcheck disable=SC2086
[ -z "$need" ] || DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $need
if [ -n "$unpack" ]; then
    # The package is only unpacked: installing it would change how this machine boots.
    folder=$(mktemp -d)
    image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\).*/\1/p' | head -1)
    (cd "$folder" && apt-get download -qq "$image" && dpkg -x "$image"_*.deb kernel)
    mkdir -p "$(dirname "$kernel")"
    mv "$folder/kernel" "$kernel"
    rm -rf "$folder"
    need="$need $image (in $kernel)"
fi
echo "setup: installed$need"
