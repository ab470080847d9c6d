#!/bin/sh
# Put the DOUBLE of Docker Desktop's WSL integration into this test host, for user $1. Run as root, next to proxy.py.
# The docker CLI comes out of the distribution's package, which is unpacked and not installed.
set -eu
user=$1
here=$(dirname "$0")
tools=/mnt/wsl/docker-desktop/cli-tools
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

chmod 755 "$scratch"
cd "$scratch"
package=$(apt-cache policy docker-cli | grep -q 'Candidate: [0-9]' && echo docker-cli || echo docker.io) # Ubuntu knows the name alone
apt-get -qq download "$package" >/dev/null
dpkg-deb -x ./*.deb unpacked
mkdir -p $tools/usr/bin /etc/systemd/system
cp unpacked/usr/bin/docker $tools/usr/bin/docker
printf '#!/bin/sh\necho "{}"\n' >$tools/usr/bin/docker-credential-desktop.exe
chmod 755 $tools/usr/bin/docker-credential-desktop.exe
ln -sf $tools/usr/bin/docker /usr/bin/docker
ln -sf $tools/usr/bin/docker-credential-desktop.exe /usr/bin/docker-credential-desktop.exe

getent group docker >/dev/null || groupadd docker
usermod -aG docker "$user"
install -m 755 "$here/proxy.py" /mnt/wsl/docker-desktop/docker-desktop-user-distro
# Docker Desktop starts its proxy from outside; here it has to come back by itself when the host restarts.
cat >/etc/systemd/system/docker-desktop-double.service <<'UNIT'
[Unit]
Description=Docker Desktop's proxy (double)
[Service]
ExecStart=/mnt/wsl/docker-desktop/docker-desktop-user-distro
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now docker-desktop-double.service

home=$(getent passwd "$user" | cut -d: -f6)
mkdir -p "$home/.docker"
printf '{\n\t"auths": {},\n\t"credsStore": "desktop.exe",\n\t"currentContext": "desktop-linux"\n}' >"$home/.docker/config.json"
printf '{\n  "builder": {\n    "gc": {\n      "enabled": true\n    }\n  }\n}\n' >"$home/.docker/daemon.json"
name=desktop-linux
id=$(printf %s $name | sha256sum | cut -d' ' -f1)
mkdir -p "$home/.docker/contexts/meta/$id"
printf '{"Name":"%s","Metadata":{"Description":"Docker Desktop"},"Endpoints":{"docker":{"Host":"unix:///var/run/docker.sock","SkipTLSVerify":false}}}' \
    $name >"$home/.docker/contexts/meta/$id/meta.json"
chmod 600 "$home/.docker/config.json"
chown -R "$user:$user" "$home/.docker"
until [ -S /var/run/docker.sock ]; do sleep 0.1; done
