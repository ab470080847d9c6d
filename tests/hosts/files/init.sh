#!/bin/sh
# PID 1 of a test host: undoes what makes a container look and behave unlike a machine, puts the dress on,
# installs the seccomp filter of the wanted kind, then becomes systemd.
# CAI_DRESS: wsl2 | wsl1 | linux | nosystemd | container; CAI_KIND: none | plain | listener; CAI_SETUP: NAME[+NAME...]
set -eu
dress=${CAI_DRESS:-wsl2} kind=${CAI_KIND:-none} setup=${CAI_SETUP:-plain}
unset CAI_DRESS CAI_KIND CAI_SETUP HOSTNAME TERM container || true
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Docker mounts a resolv.conf of its own; where the host's is a link into /run, it cannot be read any more in a moment.
nameservers=$(awk '/^nameserver/ {printf "%s%s", (n++ ? " " : ""), $2}' /etc/resolv.conf)
hold=/run/test-host
mountpoint -q /run || mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mkdir -p $hold /run/lock
mount -o remount,rw /sys
umount -R /sys/fs/cgroup
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
# ip netns shares its mounts with every namespace; so does systemd on a real machine.
mount --make-rshared /

# A host that was kept brings the contents of its volumes.
kept=/var/lib/test-host-volumes.tar
if [ -e $kept ]; then
    tar --xattrs '--xattrs-include=*' --numeric-owner -C / -xpf $kept
    rm $kept
fi

# A container in a user namespace may mount /proc only while an uncovered /proc is in sight.
mkdir -p $hold/proc
mount -t proc proc $hold/proc

# The kernel is shared with the machine below: what is not per namespace becomes a copy (if anything here
# writes it) or read-only, so that no host changes the machine.
for key in kernel/core_pattern kernel/pid_max kernel/keys/maxkeys kernel/keys/maxbytes kernel/random/boot_id \
    fs/file-max fs/nr_open fs/inotify/max_queued_events fs/inotify/max_user_instances fs/inotify/max_user_watches \
    fs/protected_fifos fs/protected_regular fs/protected_hardlinks fs/protected_symlinks vm/max_map_count; do
    [ -e /proc/sys/$key ] || continue
    mkdir -p "$hold/$(dirname $key)"
    cat /proc/sys/$key >"$hold/$key"
done
cat /proc/sys/kernel/random/uuid >$hold/kernel/random/boot_id
release=$(cat /proc/sys/kernel/osrelease)
version=$(cat /proc/version)
case $dress in
wsl2 | nosystemd) release=5.15.167.4-microsoft-standard-WSL2 ;;
wsl1) release=4.4.0-22621-Microsoft ;;
esac
case $dress in
wsl* | nosystemd) version="Linux version $release (root@builder) (gcc (GCC) 11.2.0, GNU ld 2.37) #1 SMP Tue Nov 5 00:21:55 UTC 2024" ;;
esac
echo "$release" >$hold/kernel/osrelease
echo "$version" >$hold/version
for tree in kernel fs vm; do
    mount --bind /proc/sys/$tree /proc/sys/$tree
    mount -o remount,bind,ro /proc/sys/$tree
done
(cd $hold && find kernel fs vm -type f 2>/dev/null) | while read -r key; do
    mount --bind "$hold/$key" "/proc/sys/$key"
done
case $dress in
wsl* | nosystemd) mount --bind $hold/version /proc/version ;;
esac

if [ "$dress" = linux ]; then
    # systemd takes this for hardware now: keep it from the devices and kernel file systems of the machine below.
    for unit in systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-udev-trigger.service \
        systemd-udev-settle.service systemd-modules-load.service kmod-static-nodes.service modprobe@.service \
        systemd-pstore.service systemd-sysctl.service systemd-remount-fs.service systemd-random-seed.service \
        systemd-hwdb-update.service systemd-timesyncd.service sys-kernel-debug.mount sys-kernel-tracing.mount \
        sys-kernel-config.mount sys-fs-fuse-connections.mount dev-hugepages.mount proc-sys-fs-binfmt_misc.automount \
        proc-sys-fs-binfmt_misc.mount getty@.service serial-getty@.service console-getty.service; do
        ln -sf /dev/null /etc/systemd/system/$unit
    done
fi
# Every daemon-reload runs all generators. These look at disks, consoles and a kernel command line that no host has.
mkdir -p /etc/systemd/system-generators
for name in cryptsetup debug factory-reset getty gpt-auto hibernate-resume integritysetup rc-local run ssh system-update tpm2 veritysetup; do
    ln -sf /dev/null /etc/systemd/system-generators/systemd-$name-generator
done
# A machine forwards packets only where somebody has told it to.
echo 0 >/proc/sys/net/ipv4/ip_forward
for name in $(echo "$setup" | tr + ' '); do
    [ ! -e /usr/lib/test-host/setups/$name/boot.sh ] || (. /usr/lib/test-host/setups/$name/boot.sh)
done
if [ "$dress" = container ]; then
    export container=docker
else
    rm -f /.dockerenv
fi
: >$hold/booted
# A distro of the double of a Windows host: its virtual machine says whether PID 1 holds a listener, and its wsl.conf whether that is systemd.
[ ! -e /mnt/c/wsl-double/kind ] || kind=$(cat /mnt/c/wsl-double/kind)
if [ "$dress" = nosystemd ] && ! grep -qsx 'systemd=true' /etc/wsl.conf; then
    exec sleep infinity
fi
exec /usr/bin/python3 -IS /usr/lib/test-host/pid1.py "$kind" /lib/systemd/systemd
