#!/bin/sh
# usage: finish.sh ROOT FILES. Makes an installed Debian the guest: what is not needed for Lima, systemd and Docker does not run, since an emulated boot is
# a tenth as fast. There is no udev (the devices are known), no cloud-init (lima-seed does its part) and no login manager's sessions.
set -eu
root=$1 files=$2
kernel=$(ls "$root/usr/lib/modules")
units="$root/etc/systemd/system"

: >"$root/etc/machine-id"
: >"$root/etc/fstab"
printf 'LANG=C.UTF-8\n' >"$root/etc/default/locale"
printf 'force-unsafe-io\n' >"$root/etc/dpkg/dpkg.cfg.d/guest"
rm -f "$root"/etc/ssh/ssh_host_*
chroot "$root" update-ca-certificates >/dev/null
mkdir -p "$root/mnt/lima-cidata"
install -m 755 "$files/lima-seed" "$root/usr/local/sbin/lima-seed"
install -m 644 "$files/lima-seed.service" "$units/lima-seed.service"
# The package starts its services by itself; on an image without it, setup is who starts them.
chroot "$root" systemctl disable docker.service docker.socket containerd.service >/dev/null 2>&1
chroot "$root" systemctl enable lima-seed.service ssh.service >/dev/null 2>&1

# Without udev, systemd's login manager hears of no power button, which is how Lima stops a VM.
printf 'event=button/power\naction=systemctl --no-block poweroff\n' >"$root/etc/acpi/events/power"
chroot "$root" systemctl enable acpid.service >/dev/null 2>&1

printf '%s\n' button virtio_net virtio_scsi sr_mod isofs overlay >"$root/etc/modules-load.d/guest.conf"
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/guest.conf"
# They run at each reload of systemd, too, and have nothing to generate.
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/usr/lib/systemd/system-generators/*; do
  ln -s /dev/null "$root/etc/systemd/system-generators/${generator##*/}"
done
for unit in \
  systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-hwdb-update.service \
  getty.target user@.service user-runtime-dir@.service sshd-keygen.service \
  systemd-journal-flush.service systemd-journal-catalog-update.service systemd-random-seed.service systemd-pstore.service \
  systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-clean.timer kmod-static-nodes.service \
  systemd-firstboot.service systemd-sysusers.service systemd-machine-id-commit.service systemd-update-done.service systemd-hibernate-clear.service \
  systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-pcrmachine.service systemd-network-generator.service systemd-networkd.service \
  systemd-ask-password-console.path systemd-ask-password-wall.path ldconfig.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount \
  sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service; do
  ln -sf /dev/null "$units/$unit"
done
# Sysbox's units give up after 10 s, which an emulated boot may take.
for unit in sysbox-fs sysbox-mgr; do
  mkdir -p "$units/$unit.service.d"
  printf '[Service]\nTimeoutStartSec=300\n' >"$units/$unit.service.d/slow.conf"
done

# Unpacking is for whoever builds the image: the modules, and the kernel itself.
find "$root/usr/lib/modules/$kernel" -name '*.ko.xz' -exec xz -d {} +
chroot "$root" depmod "$kernel"
cd "$root/boot"
rm -f initrd.img-*
packed=$(LC_ALL=C grep -aobP '\x28\xb5\x2f\xfd' "vmlinuz-$kernel" | head -n 1 | cut -d : -f 1)
tail -c "+$((packed + 1))" "vmlinuz-$kernel" | chroot "$root" zstd -dcq >vmlinux 2>/dev/null || true # something follows it
[ "$(head -c 4 vmlinux | tail -c 3)" = ELF ] || { echo >&2 "no kernel in vmlinuz-$kernel"; exit 1; }
mkdir -p initrd/bin initrd/dev initrd/root
cp "$root/bin/busybox" initrd/bin/busybox
cp "$root/usr/lib/modules/$kernel/kernel/drivers/block/virtio_blk.ko" initrd/
install -m 755 "$files/init" initrd/init
chroot "$root" sh -c 'cd /boot/initrd && find . | cpio -o -H newc --quiet >../initrd.img'
rm -rf initrd
