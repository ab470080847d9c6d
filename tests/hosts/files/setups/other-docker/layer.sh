# The distribution's own Docker; from Debian 13 on its command is a package of its own.
install docker.io $(apt-cache --names-only search '^docker-cli$' | cut -d' ' -f1)
