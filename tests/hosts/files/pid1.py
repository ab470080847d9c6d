"""Install the wanted kind of seccomp filter on this process (PID 1), then become the given program.

usage: pid1.py none|plain|listener PROGRAM

`plain` refuses two harmless system calls. `listener` allows everything, but through a filter with a user-notify
listener, of which the kernel lets a process and its descendants have only one: what WSL's init does in mirrored mode.
"""

import ctypes
import os
import signal
import struct
import sys

SECCOMP_SET_MODE_FILTER = 1
FLAG_NEW_LISTENER = 8
RET_ALLOW = 0x7FFF0000
RET_EPERM = 0x00050001
LOAD_SYSCALL_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
# machine: (seccomp, kexec_load, kexec_file_load)
NUMBERS = {"x86_64": (317, 246, 320), "aarch64": (277, 104, 294)}


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def instruction(code, value, if_true=0, if_false=0):
    """One struct sock_filter."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def install(instructions, flags):
    """Put a filter on this process; returns what the system call returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(instructions), b"".join(instructions))
    number = NUMBERS[os.uname().machine][0]
    result = libc.syscall(
        ctypes.c_long(number), ctypes.c_ulong(SECCOMP_SET_MODE_FILTER), ctypes.c_ulong(flags), ctypes.byref(program)
    )
    if result < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return result


def plain():
    """Refuse kexec, allow the rest."""
    _, load, file_load = NUMBERS[os.uname().machine]
    install(
        [
            instruction(LOAD_SYSCALL_NUMBER, 0),
            instruction(JUMP_IF_EQUAL, load, if_true=2),
            instruction(JUMP_IF_EQUAL, file_load, if_true=1),
            instruction(RETURN, RET_ALLOW),
            instruction(RETURN, RET_EPERM),
        ],
        0,
    )


def listener():
    """Allow everything; a child keeps the listener's descriptor, since closing it would detach the listener."""
    descriptor = install([instruction(RETURN, RET_ALLOW)], FLAG_NEW_LISTENER)
    if os.fork() == 0:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.set_inheritable(descriptor, True)
        # systemd leaves alone, at shutdown, what calls itself "@...".
        os.execv("/bin/sleep", ["@seccomp-listener", "infinity"])
    os.close(descriptor)


if __name__ == "__main__":
    {"none": lambda: None, "plain": plain, "listener": listener}[sys.argv[1]]()
    os.execv(sys.argv[2], [sys.argv[2]])
