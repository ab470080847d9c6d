# An Ubuntu desktop's own: a local resolver, a firewall that is on, AppArmor's tools, updates by themselves, NetworkManager.
install systemd-resolved network-manager ufw apparmor apparmor-utils unattended-upgrades
sed -i 's/^ENABLED=.*/ENABLED=yes/' /etc/ufw/ufw.conf
