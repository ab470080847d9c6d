# Name the running containers of a distro, whatever engine they are of: each has a process that keeps it, also while its engine hangs or is gone.
# For any POSIX shell, since docker-desktop and others have little more. playbooks/library/containai_wsl_restart.py reads the answer.
for process in /proc/[0-9]*; do
    read -r name 2>/dev/null <"$process/comm" || continue
    case $name in
    containerd-shim* | conmon* | runc | crun | sysbox-runc | lxc-start | "[lxc monitor]"* | systemd-nspawn)
        # One that has ended has no words any more; nobody may have collected it yet.
        words=$(tr '\000\n' '  ' 2>/dev/null <"$process/cmdline")
        [ -z "$words" ] || printf 'container %s %s\n' "${process#/proc/}" "$words"
        ;;
    esac
done
echo 'every process was seen'
