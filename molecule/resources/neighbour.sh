#!/bin/sh
# A machine that had Docker before: its own engine, a running container with a published port, a settings file, and a
# watcher that asks the port twice a second and writes down every failure.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends docker.io >/dev/null
usermod -aG docker dev
mkdir -p /etc/docker
printf '{\n\t"log-opts": {"max-size": "5m"},\n\t"log-driver": "json-file"\n}\n' >/etc/docker/daemon.json
chmod 600 /etc/docker/daemon.json
systemctl restart docker
docker load -q -i /root/user-image.tar
docker run -d --name neighbour --restart always -p 8080:80 cai-test-image:1 httpd -f -h /www
until curl -fsS -m 2 http://127.0.0.1:8080/ >/dev/null; do sleep 0.2; done
cat >/etc/systemd/system/neighbour-watch.service <<'UNIT'
[Service]
ExecStart=/bin/sh -c 'while sleep 0.5; do curl -fsS -m 2 -o /dev/null http://127.0.0.1:8080/ || date >>/root/neighbour-failures; done'
UNIT
systemctl daemon-reload
systemctl start neighbour-watch
