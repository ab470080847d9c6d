# Shared head of the maintainer scripts of the Sysbox DOUBLE (a test package). They are as rude to Docker as the
# original package's are, so that protecting a machine's daemon.json from them is really tested.
set -e
. /usr/share/debconf/confmodule
settings=/etc/docker/daemon.json
dockerd_runs() { pidof dockerd >/dev/null 2>&1; }
dockerd_installed() { command -v dockerd >/dev/null 2>&1; }
# An unreachable default socket prints nothing: counts as "there are containers", as in the original.
containers_seen() { ! docker ps -a | wc -l | grep -qE '1$'; }
