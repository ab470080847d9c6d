"""Try to install a seccomp user-notify listener in this process, and print the errno (0: it was accepted).

Run it in a process that ends right after: the filter, which allows everything, cannot be taken off again.
seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, allow-all); see seccomp(2), seccomp_unotify(2).
"""

import ctypes
import platform
import struct

PR_SET_NO_NEW_PRIVS, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = 38, 1, 8
BPF_RET_K, SECCOMP_RET_ALLOW = 0x06, 0x7FFF0000
SECCOMP_SYSCALL = {"x86_64": 317, "aarch64": 277}
ENOSYS = 38


def attempt() -> int:
    number = SECCOMP_SYSCALL.get(platform.machine())
    if number is None:
        return ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    allow_all = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(allow_all)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return ctypes.get_errno()
    listener = libc.syscall(ctypes.c_long(number), ctypes.c_ulong(SECCOMP_SET_MODE_FILTER), ctypes.c_ulong(SECCOMP_FILTER_FLAG_NEW_LISTENER), program)
    return 0 if listener >= 0 else ctypes.get_errno()


if __name__ == "__main__":
    print(attempt())
