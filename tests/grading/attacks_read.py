"""Read what is not theirs. An attempt that finds the secret says LEAK, one that fails the number of its error.

@COURSE@ and @REPOSITORY@ stand for folders outside, @PORT@ and @SOCKET@ for a listening port and a socket
there, @PID@ for the judge's process.
"""

from grading.attack import MARK, TRY, Attack, function


def looks(name: str, things: str, says: str, top: str = "") -> Attack:
    return Attack(name, function(f"attempt({{{things}}})", f"{TRY}\nimport ctypes, os, socket\n{top}"), f"tried {says}")


LIBC = "libc = ctypes.CDLL(None, use_errno=True)"

ATTACKS = [
    looks(
        "the master and its hidden tests",
        """
        'course': lambda: open('@COURSE@/source/lab01_convolution/lab01_convolution.ipynb').read(),
        'repository': lambda: open('@REPOSITORY@/labs/source/lab01_convolution/lab01_convolution.ipynb').read(),
        'tests': lambda: open('@REPOSITORY@/tests/test_labs.py').read(),
        """,
        r"course E2, repository E2, tests E2\.",
    ),
    looks(
        "other submissions and the gradebook",
        """
        'ada': lambda: open('@COURSE@/submitted/ada/lab01_convolution/lab01_convolution.ipynb').read(),
        'list': lambda: os.listdir('@COURSE@/submitted'),
        'book': lambda: open('@COURSE@/gradebook.db').read(),
        'sqlite': lambda: sqlite3.connect('file:@COURSE@/gradebook.db?mode=ro', uri=True).execute('select 1'),
        'link': lambda: (os.symlink('@COURSE@/gradebook.db', 'link'), open('link').read()),
        """,
        r"ada E2, list E2, book E2, sqlite OperationalError, link E(2|17)\.",
        "import sqlite3",
    ),
    looks(
        "the environment",
        """
        'own': lambda: [v for v in os.environ.values() if 'attack' in v],
        'self': lambda: [v for v in open('/proc/self/environ').read().split('\\0') if 'attack' in v],
        'first': lambda: [v for v in open('/proc/1/environ').read().split('\\0') if 'attack' in v],
        'libc': lambda: libc.getenv(b'CNN_ATTACK'),
        """,
        r"own \[\], self (\[\]|E2), first (\[\]|E2), libc 0\.",
        LIBC,
    ),
    looks(
        "other processes",
        """
        'numbers': lambda: [p for p in os.listdir('/proc') if p.isdigit()],
        'parent': os.getppid,
        'group': lambda: (os.getpgid(0), os.getsid(0)),
        'memory': lambda: open(f'/proc/{os.getppid()}/mem', 'rb').read(9),
        'signal': lambda: [p for p in range(2, 3000) if exists(p)],
        """,
        r"numbers \[('1')?\], parent 0, group \(1, 1\), memory E2, signal \[\]\.",
        """
def exists(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False
""",
    ),
    looks(
        "the memory of the host and of the judge",
        """
        'trace': lambda: [libc.ptrace(16, 1, 0, 0), libc.ptrace(16, os.getppid(), 0, 0), libc.ptrace(0, 0, 0, 0)],
        'vm': lambda: (libc.process_vm_readv(1, None, 0, None, 0, 0), ctypes.get_errno()),
        'shared': lambda: sum(' rw-s ' in line for line in open('/proc/self/maps')),
        'pages': lambda: open('/dev/mem', 'rb').read(9),
        'core': lambda: open('/proc/kcore', 'rb').read(9),
        """,
        r"trace \[-1, -1, -1\], vm \(-1, 1\), shared (0|E2), pages (E2|E1|E13), core (E2|E1|E13)\.",
        LIBC,
    ),
    looks(
        "the network",
        """
        'port': lambda: socket.create_connection(('127.0.0.1', @PORT@), 3),
        'outside': lambda: socket.create_connection(('1.1.1.1', 53), 3),
        'name': lambda: socket.getaddrinfo('example.org', 443),
        'listen': lambda: socket.socket().bind(('8.8.8.8', 80)),
        """,
        r"port E(101|111|99), outside E101, name E-\d, listen E(99|13)\.",
    ),
    looks(
        "sockets of other kinds",
        """
        'machine': lambda: socket.socket(40, socket.SOCK_STREAM),
        'crypto': lambda: socket.socket(38, socket.SOCK_SEQPACKET),
        'raw': lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        'packet': lambda: socket.socket(17, socket.SOCK_RAW, 3),
        """,
        r"machine E1, crypto E1, raw E1, packet E1\.",
    ),
    looks(
        "sockets that others listen on",
        f"""
        'path': lambda: socket.socket(socket.AF_UNIX).connect('@SOCKET@'),
        'abstract': lambda: socket.socket(socket.AF_UNIX).connect('\\0{MARK}@PID@'),
        'docker': lambda: socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock'),
        """,
        r"path E2, abstract E111, docker E2\.",
    ),
    looks(
        "open files",
        """
        'files': lambda: [n for n in range(300) if there(n)],
        'sockets': lambda: [n for n in range(4) if stat.S_ISSOCK(os.fstat(n).st_mode)],
        'devices': lambda: [os.fstat(n).st_rdev == os.stat('/dev/null').st_rdev for n in range(3)],
        """,
        r"files \[0, 1, 2, 3\], sockets \[3\], devices \[True, True, True\]\.",
        """
def there(n):
    try:
        os.fstat(n)
        return True
    except OSError:
        return False
import stat
""",
    ),
    looks(
        "accounts, keys and histories",
        """
        'users': lambda: open('/etc/passwd').read(),
        'shadow': lambda: open('/etc/shadow').read(),
        'root': lambda: [n for n in ('.ssh', '.bashrc', '.bash_history', '.cache') if os.path.lexists('/root/' + n)],
        'home': lambda: os.listdir(os.path.expanduser('~')),
        'run': lambda: os.listdir('/run'),
        'repository': lambda: sorted(set(os.listdir('@REPOSITORY@')) - {'.venv', 'cnn_course'}),
        """,
        r"users E(2|13), shadow E(2|13), root \[\], home \[\], run E2, repository (E2|\[\])\.",
    ),
    looks(
        "the kernel's log, keys and other namespaces",
        """
        'log': lambda: libc.klogctl(3, ctypes.create_string_buffer(4096), 4096),
        'kmsg': lambda: open('/dev/kmsg').read(9),
        'keys': lambda: [libc.syscall(call, b'user', b'x', None, 0) for call in calls[:2]],
        'space': lambda: [libc.unshare(0x10000000), libc.unshare(0x20000), libc.setns(0, 0)],
        'mount': lambda: [libc.mount(b'proc', b'/tmp', b'proc', 0, None), libc.umount2(b'/proc', 2)],
        'root': lambda: os.chroot('/tmp'),
        'clone': lambda: libc.syscall(calls[2], 0x10000000 | 17, 0, 0, 0, 0),
        """,
        r"log -1, kmsg (E2|E1|E13), keys \[-1, -1\], space \[-1, -1, -1\], mount \[-1, -1\], root E1, clone -1\.",
        LIBC + "\nimport platform\ncalls = (250, 249, 56) if platform.machine() == 'x86_64' else (219, 218, 220)",
    ),
    looks(
        "rights of others",
        """
        'id': lambda: (os.getuid(), os.geteuid()),
        'root': lambda: os.setuid(0),
        'groups': lambda: os.setgroups([0]),
        'su': lambda: subprocess.run(['su', '-c', 'id'], stdin=subprocess.DEVNULL, capture_output=True).returncode > 0,
        'set': lambda: libc.capset(ctypes.c_char_p(struct.pack('<Ii', 0x20080522, 0)), b'\\xff' * 24),
        """,
        r"id \(65534, 65534\), root E(1|22), groups E(1|22), su (True|E1|E2|E13), set -1\.",
        LIBC + "\nimport struct, subprocess",
    ),
    looks(
        "what an earlier submission left",
        f"""
        'files': lambda: [f for d in places for f in listed(d) if '{MARK}' in f],
        'memory': lambda: [i for i in range(4096) if libc.shmat(i, None, 0o10000) != -1],
        'semaphores': lambda: libc.semget(4242, 1, 0),
        'modules': lambda: np.zeros.__module__,
        """,
        r"files \[\], memory \[\], semaphores -1, modules 'numpy'\.",
        LIBC
        + """
places = ('/tmp', '/dev/shm', '/home', '/var/tmp', '/', '/dev')
def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []
""",
    ),
]
