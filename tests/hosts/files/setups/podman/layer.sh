install podman podman-docker
