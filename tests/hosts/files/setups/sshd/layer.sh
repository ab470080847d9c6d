install openssh-server
mkdir -p /run/sshd
