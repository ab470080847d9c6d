# systemd-resolved's stub is the only resolver that resolv.conf names; the real ones stand where a DHCP answer would put them.
umount /etc/resolv.conf 2>/dev/null || true # Docker's
mkdir -p /run/systemd/resolved.conf.d
printf '[Resolve]\nDNS=%s\n' "$nameservers" >/run/systemd/resolved.conf.d/test-host.conf
ln -sfn ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
