"""System calls that fail for a student's code: what namespaces and missing capabilities leave open (seccomp)."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from cnn_course.grading.sandbox import bubblewrap

# The number of each call on x86-64 and on ARM64.
REFUSED = {
    "ptrace": (101, 117),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "syslog": (103, 116),
}
PROGRAMS = {"execve": (59, 221), "execveat": (322, 281)}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)  # these are looked into
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # what the kernel calls it, the column above
_NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW... flag
_SOCKETS = (1, 2, 10, 16)  # Unix, IP, IPv6, netlink
_SECCOMP = 22  # of prctl


def refuse_system_calls(*, programs: bool) -> None:
    """Let calls fail (seccomp) with which a process makes namespaces or mounts, traces others, or loads kernel code.

    So do those that hide memory from who counts it, and sockets of kinds that no network namespace holds back (those
    between a virtual machine and its host, for one). programs: also those that start another program. On machines
    other than x86-64 and ARM64 nothing is refused: the namespaces and the missing capabilities remain.
    """
    machine = platform.machine()
    if machine not in _MACHINES:
        return
    architecture, column = _MACHINES[machine]
    clone, clone3, socket = (numbers[column] for numbers in (_CLONE, _CLONE3, _SOCKET))
    load, equal, mask, answer = 0x20, 0x15, 0x45, 0x06  # BPF: load a word, jump if equal, jump if any bit, return
    allow, refuse, unknown = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    refused = [*REFUSED.values(), *(PROGRAMS.values() if programs else ())]
    program = [(load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, 0x80000000), (load, 0, 0, 0)]
    if machine == "x86_64":  # x32 calls carry this bit
        program += [(0x35, 0, 1, 0x40000000), (answer, 0, 0, refuse)]
    program += [part for call in refused for part in ((equal, 0, 1, call[column]), (answer, 0, 0, refuse))]
    program += [(equal, 0, 1, clone3), (answer, 0, 0, unknown)]  # glibc then uses clone, whose flags can be read
    program += [(equal, 0, 3, clone), (load, 0, 0, 16), (mask, 0, 1, _NEW_NAMESPACES), (answer, 0, 0, refuse)]
    program += [(equal, 0, len(_SOCKETS) + 2, socket), (load, 0, 0, 16)]
    program += [(equal, len(_SOCKETS) - i, 0, family) for i, family in enumerate(_SOCKETS)]
    program += [(answer, 0, 0, refuse), (answer, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *step) for step in program))
    filter_ = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    bubblewrap.prctl(_SECCOMP, 2, ctypes.c_char_p(filter_))
