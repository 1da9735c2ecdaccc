"""Write what is not theirs. Whatever is written carries the mark, which is looked for afterwards.

@COURSE@ and @REPOSITORY@ stand for folders outside, @PREFIX@ for Python's, @PID@ for the judge's process.
"""

from grading.attack import MARK, TRY, Attack, function


def tries(name: str, things: str, says: str, top: str = "") -> Attack:
    return Attack(name, function(f"attempt({{{things}}})", TRY + "import os\n" + top), f"tried {says}")


WRITE = f"""
def write(path):
    with open(path, 'a') as file:
        return file.write('{MARK}')
"""
NO = "E(1|2|13|20|30)"

ATTACKS = [
    tries(
        "the gradebook",
        """
        'write': lambda: write('@COURSE@/gradebook.db'),
        'sqlite': lambda: sqlite3.connect('@COURSE@/gradebook.db').execute('create table marks (a)'),
        'nbgrader': lambda: Gradebook('sqlite:///@COURSE@/gradebook.db').students,
        """,
        r"write E2, sqlite OperationalError, nbgrader \w+Error\.",
        WRITE + "import sqlite3\ntry:\n    from nbgrader.api import Gradebook\nexcept ImportError:\n    pass\n",
    ),
    tries(
        "the master, other submissions, feedback",
        """
        'master': lambda: write('@COURSE@/source/lab01_convolution/lab01_convolution.ipynb'),
        'other': lambda: write('@COURSE@/submitted/ada/lab01_convolution/lab01_convolution.ipynb'),
        'feedback': lambda: write('@COURSE@/feedback/ada/lab01_convolution/lab01_convolution.ipynb'),
        'make': lambda: os.makedirs('@COURSE@', exist_ok=True),
        'remove': lambda: shutil.rmtree('@COURSE@'),
        """,
        # The folders that it can make stand in its own /tmp.
        rf"master {NO}, other {NO}, feedback {NO}, make (None|{NO}), remove (None|{NO})\.",
        WRITE + "import shutil",
    ),
    tries(
        "the grader's own code and Python's start-up files",
        f"""
        'checks': lambda: write(checks.__file__),
        'package': lambda: write(os.path.dirname(checks.__file__) + '/{MARK}.py'),
        'site': lambda: write(site.getsitepackages()[0] + '/{MARK}.pth'),
        'customize': lambda: write(os.path.dirname(os.__file__) + '/sitecustomize.py'),
        'cache': lambda: write(checks.__cached__),
        'remove': lambda: os.unlink(checks.__file__),
        'rename': lambda: os.rename('/usr/bin', '/usr/{MARK}'),
        """,
        rf"checks {NO}, package {NO}, site {NO}, customize {NO}, cache {NO}, remove {NO}, rename {NO}\.",
        WRITE + "import site",
    ),
    tries(
        "start-up files of the account",
        f"""
        'preload': lambda: write('/etc/ld.so.preload'),
        'profile': lambda: write('/etc/profile.d/{MARK}.sh'),
        'cron': lambda: write('/var/spool/cron/{MARK}'),
        'root': lambda: write('/root' '/.bashrc'),
        'home': lambda: [write(os.path.expanduser('~/') + name) for name in ('.bashrc', '{MARK}')],
        'ipython': lambda: os.makedirs(os.path.expanduser('~/.ipython/startup/{MARK}'), exist_ok=True),
        """,
        rf"preload {NO}, profile {NO}, cron {NO}, root {NO}, home \[15, 15\], ipython None\.",
        WRITE,
    ),
    tries(
        "files that a later submission would see",
        f"""
        'own': lambda: [write(f'{{d}}/{MARK}') for d in ('/tmp', '/dev/shm', '/home')],
        'top': lambda: write('/{MARK}'),
        'devices': lambda: write('/dev/{MARK}'),
        'var': lambda: write('/var/tmp/{MARK}'),
        'usr': lambda: write('/usr/{MARK}'),
        'settings': lambda: write('/etc/{MARK}'),
        'prefix': lambda: write('@PREFIX@/{MARK}'),
        'kernel': lambda: write('/proc/self/oom_score_adj'),
        """,
        rf"own \[15, 15, 15\], top {NO}, devices {NO}, var {NO}, usr {NO}, settings {NO}, prefix {NO}, kernel {NO}\.",
        WRITE,
    ),
    tries(
        "memory that a later submission would see",
        f"""
        'shared': lambda: libc.shmget(4242, 4096, 0o1666),
        'file': lambda: os.memfd_create('{MARK}'),
        'semaphore': lambda: libc.semget(4242, 1, 0o1666) >= 0,
        'posix': lambda: write('/dev/shm/{MARK}'),
        'socket': lambda: socket.socket(socket.AF_UNIX).bind('\\0{MARK}2'),
        """,
        r"shared -1, file E1, semaphore True, posix 15, socket None\.",
        WRITE + "import ctypes, socket\nlibc = ctypes.CDLL(None)",
    ),
    Attack(
        "processes that outlive the submission",
        function(
            f"""
            for number in range(5):
                if os.fork() == 0:
                    os.setsid()
                    for s in range(1, 64):
                        try: signal.signal(s, signal.SIG_IGN)
                        except (OSError, ValueError): pass
                    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
                    if os.fork() == 0:
                        while True:
                            open('/tmp/{MARK}', 'a').write('still here')
                            time.sleep(0.05)
                    os._exit(0)
            try: subprocess.Popen(['sh', '-c', 'nohup sleep 1000 &'])
            except PermissionError: pass
            raise RuntimeError('tried')
            """,
            "import ctypes, os, signal, subprocess, time",
        ),
        r"tried",
    ),
    Attack(
        "signals to the own group, to the first process, to all",
        function(
            """
            for number in (2, 15, 1, 10, 9, 19):
                for target in (0, 1, -1):
                    try: os.kill(target, number)
                    except OSError: pass
                    except KeyboardInterrupt: pass
            raise RuntimeError('tried')
            """,
            "import os, signal",
        ),
        r"tried|nothing came back",
    ),
    tries(
        "signals to every number",
        """
        'any': lambda: [p for p in range(2, 70000) if killed(p)],
        'judge': lambda: os.kill(@PID@, 9),
        'parent': lambda: os.kill(os.getppid() or 99999999, 9),
        'lower': lambda: os.setpriority(os.PRIO_USER, 65534, -20),
        """,
        r"any \[\], judge E3, parent E3, lower E(1|13)\.",
        """
def killed(pid):
    try:
        os.kill(pid, 9)
        return True
    except ProcessLookupError:
        return False
""",
    ),
    Attack(
        "changed modules of the warm process",
        function(
            """
            np.zeros = np.pad = None
            sys.modules.clear()
            gc.unfreeze()
            for thing in gc.get_objects():
                if isinstance(thing, dict) and thing.get("__name__") == "cnn_course.convolution":
                    thing.clear()
            raise RuntimeError("tried")
            """,
            "import gc, sys",
        ),
        r"tried|nothing came back",
        spoils=True,
    ),
    Attack(
        "files handed to the judge",
        function(
            """
            channel = wire()[0]
            for _ in range(50):
                socket.send_fds(channel, [b'\\x01'], [os.open('/dev/zero', os.O_RDONLY)] * 4)
            raise RuntimeError('tried')
            """,
            "import os, socket, sys\ndef wire():\n    frame = sys._getframe()\n"
            "    while 'channel' not in frame.f_locals:\n        frame = frame.f_back\n"
            "    return frame.f_locals['channel'], 0\n",
        ),
        r"nothing came back",
    ),
]
