# An Ubuntu desktop's own: a local resolver (up to 22.04 in systemd's own package), a firewall that is on, AppArmor's tools, updates by themselves, NetworkManager.
install $(apt-cache --names-only search '^systemd-resolved$' | cut -d' ' -f1) network-manager ufw apparmor apparmor-utils unattended-upgrades
sed -i 's/^ENABLED=.*/ENABLED=yes/' /etc/ufw/ufw.conf
