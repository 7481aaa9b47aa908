#!/bin/sh
# Installs what squall needs from Debian or Ubuntu: `nft` (partitions), `iptables` (packet faults), and `ip`, which only
# the tests use.
# Everything else is in the binary. With `--all` it also installs what some tests try squall on, `sshd` (whose service stays
# off) among that; where it is missing, those tests say so and do nothing. Run it as root, or with sudo at hand.
set -eu

programs="ip:iproute2 nft:nftables iptables:iptables"
case "${1:-}" in
    "") ;;
    --all) programs="$programs etcd:etcd-server python3:python3 redis-server:redis-server sqlite3:sqlite3 ssh:openssh-client sshd:openssh-server" ;;
    *) echo "setup: $1 means nothing; give --all or nothing" >&2; exit 2 ;;
esac
need=""
for pair in $programs; do
    PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%:*}" >/dev/null 2>&1 || need="$need ${pair##*:}"
done
# zstd is built from C source by its crate.
command -v cc >/dev/null 2>&1 || need="$need gcc libc6-dev"
if [ -z "$need" ]; then
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
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $need
echo "setup: installed$need"
