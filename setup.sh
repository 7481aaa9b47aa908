#!/bin/sh
# Installs what squall needs from Debian or Ubuntu: `nft` (partitions), `iptables` (packet faults), and `ip`, which only
# the tests use.
# Everything else is in the binary. Run it as root, or with sudo at hand.
set -eu

need=""
for path in "ip iproute2" "nft nftables" "iptables iptables"; do
    set -- $path
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || need="$need $2"
done
# zstd is built from C source by its crate.
command -v cc >/dev/null 2>&1 || need="$need gcc libc6-dev"
if [ -z "$need" ]; then
    echo "setup: nothing to install"
    exit 0
fi

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
$sudo apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $need
echo "setup: installed$need"
