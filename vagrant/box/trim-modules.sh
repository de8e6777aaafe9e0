#!/usr/bin/env bash
# Keeps of a root's kernel modules those that the VM needs, with what they depend on,
# uncompressed: a fifth of the size, and modprobe is fast under emulation.
#
#     trim-modules.sh ROOT
set -euo pipefail
root=${1:?usage: trim-modules.sh ROOT}
kernel=$(ls "$root/usr/lib/modules")
modules=$root/usr/lib/modules/$kernel

# rc-core comes with amdgpu; button and evdev make shutdown work; those of sockets are CRIU's.
readonly WANTED="
amdgpu vgem virtio_gpu
virtio_blk virtio_net virtio_rng virtio_pci 9p 9pnet_virtio button evdev configfs
ext4 overlay loop fuse binfmt_misc
unix_diag af_packet_diag netlink_diag inet_diag tcp_diag udp_diag raw_diag
bridge br_netfilter veth tun dummy macvlan xfrm_user ip_vs vxlan
ip_tables iptable_nat iptable_filter ip6_tables ip6table_nat ip6table_filter
xt_MASQUERADE xt_addrtype xt_conntrack xt_comment xt_mark xt_nat xt_set
nf_tables nft_compat nft_chain_nat nft_ct nft_masq nft_nat nft_fib nft_fib_ipv4
nft_fib_ipv6 nft_fib_inet nf_conntrack_netlink
"

kept=$(mktemp -d)
trap 'rm -rf "$kept"' EXIT
for module in $WANTED; do
    chroot "$root" modprobe -S "$kernel" --show-depends "$module" 2>/dev/null || true
done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    file=${file#/usr}
    file=${file#/lib/modules/"$kernel"/}
    install -D -m 644 "$modules/$file" "$kept/$file"
done
rm -rf "$modules/kernel"
mv "$kept/kernel" "$modules/kernel"
find "$modules" -name '*.ko.xz' -exec xz -d {} +
chroot "$root" depmod "$kernel"
