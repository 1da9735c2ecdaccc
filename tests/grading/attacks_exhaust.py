"""Exhaust: time, memory, processes, files, patience. Each must end within its limit."""

from grading.attack import WIRE, Attack, function

LATE = r"TimeoutError: no answer after"
ENDED = r"ProcessEnded: nothing came back"


def endless(name: str, body: str, top: str = "", says: str = LATE) -> Attack:
    return Attack(name, function(body, top), says, call_seconds=0.6)


ATTACKS = [
    endless("a loop", "while True:\n    pass"),
    Attack(
        "a loop at the top of a cell", {"q3-solution": "while True:\n    pass\n"}, "took too long", call_seconds=0.6
    ),
    endless("a power that C computes", "return 7 ** 10 ** 8"),
    endless("a text that C searches", "return re.match('(a+)+$', 'a' * 60 + 'b')", "import re"),
    endless("a sleep", "import time\ntime.sleep(10**6)"),
    endless(
        "deaf to signals",
        """
        for number in range(1, 64):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        while True:
            try: time.sleep(1000)
            except BaseException: pass
        """,
        "import signal, time",
    ),
    endless(
        "one byte at a time",
        """
        channel, _ = wire()
        channel.send(b'\\0\\0\\x10\\0')
        while True:
            channel.send(b' ')
            time.sleep(0.05)
        """,
        WIRE,
    ),
    endless(
        "an error whose text never ends",
        "raise Slow",
        "class Slow(Exception):\n    def __str__(self):\n        while True: pass",
    ),
    Attack(
        "a dict that is never read to its end",
        function(
            "return Endless(a=1)",
            """
            class Endless(dict):
                def __iter__(self):
                    while True: yield "a"
                keys = items = values = __iter__
                def __len__(self): return 10**9
            """,
        ),
        r"got an Endless",
    ),
    Attack(
        "a list that holds itself ten billion times",
        function("a = [0.0] * 100\nfor _ in range(18):\n    a = [a] * 100\nreturn a"),
        rf"{LATE}|{ENDED}|MemoryError|too large",
        call_seconds=0.8,
    ),
    Attack("a result of 300 MB", function("return np.ones(37_500_000)"), r"expected shape \(2, 3\), got \(37500000,\)"),
    Attack("a number with a million digits", function("return 10 ** 10**6"), r"got a single number|got an int"),
    Attack(
        "memory in one piece",
        function("return bytearray(1 << 45)"),
        r"stopped with MemoryError",
    ),
    Attack("memory bit by bit", function("a = [0]\nwhile True:\n    a += a"), r"MemoryError|nothing came back"),
    Attack(
        "the disk",
        function(
            """
            for folder in ('/tmp', '/dev/shm', '/home'):
                try:
                    for i in range(100):
                        with open(f'{folder}/{i}', 'wb') as file:
                            file.write(bytes(32 << 20))
                except OSError as error:
                    said.append(error.errno)
            raise RuntimeError(f'tried {said}')
            """,
            "said = []",
        ),
        r"tried \[28, 28, 28",
    ),
    Attack(
        "a million empty files",
        function(
            """
            try:
                for i in range(10**6):
                    open(f'/tmp/{i}', 'w').close()
            except OSError as error:
                raise RuntimeError(f'tried {i < 20000} {error.errno}')
            """
        ),
        r"tried True 28",
    ),
    Attack(
        "one large sparse file",
        function("open('a', 'wb').truncate(1 << 40)"),
        r"stopped with OSError",
    ),
    Attack(
        "output without end",
        function(
            "for _ in range(20_000):\n    print('x' * 1000)\n    os.write(1, b'x' * 1000)\nraise RuntimeError('tried')",
            "import os",
        ),
        r"tried",
    ),
    Attack("exit", function("import sys\nsys.exit(0)"), r"stopped with SystemExit"),
    Attack(
        "exit at the top of a cell", {"q3-solution": "raise SystemExit(0)\n"}, r"conv_2d is not there: its cell stopped"
    ),
    Attack("_exit", function("import os\nos._exit(0)"), ENDED),
    Attack("_exit at the top of a cell", {"q3-solution": "import os\nos._exit(0)\n"}, r"its cell ended its process"),
    Attack(
        "kill -9 of itself",
        function("import os\nos.kill(os.getpid(), 9)\nraise RuntimeError('tried')"),
        r"tried|nothing came back",
    ),
    Attack("abort", function("import os\nos.abort()"), ENDED),
    Attack("a wild pointer", function("import ctypes\nctypes.string_at(1)"), ENDED),
    Attack(
        "stopped by a signal",
        function("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nraise RuntimeError('tried')"),
        r"tried",
    ),
    Attack(
        "standard input",
        function("raise RuntimeError(f'tried {sys.stdin.read()!r} {os.read(0, 9)!r}')\ninput()", "import os, sys"),
        r"tried '' b''",
    ),
    Attack("input", function("return input('?')"), r"stopped with (EOFError|RuntimeError)"),
    Attack("recursion", function("return conv_2d(x, w)"), r"stopped with RecursionError"),
    Attack(
        "recursion in C",
        function("import sys\nsys.setrecursionlimit(10**9)\nreturn conv_2d(x, w)"),
        rf"{ENDED}|RecursionError|{LATE}",
        call_seconds=1.0,
    ),
    Attack("deep source", {"q3-solution": "x = " + "-" * 100_000 + "1\n"}, r"conv_2d is not there: its cell"),
    Attack(
        "a cell of 190,000 characters",
        {"q3-solution": "a0 = 1\n" + "".join(f"if a0: a{i} = a0\n" for i in range(9_000))},
        r"does not define it",
    ),
    Attack(
        "processes",
        function(
            """
        import os, time
        try:
            for n in range(10_000):
                if os.fork() == 0:
                    time.sleep(1000)
        except OSError as error:
            raise RuntimeError(f'tried {n < 64} {error.errno}')
        """
        ),
        r"tried True 11",
    ),
    Attack(
        "a bomb of processes",
        function(
            """
        import os, time
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            try: os.fork()
            except OSError: pass
        while True: time.sleep(1)
        """
        ),
        rf"{LATE}|{ENDED}",
        call_seconds=1.0,
    ),
    Attack(
        "threads",
        function(
            """
        import threading, time
        try:
            for n in range(10_000):
                threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        except RuntimeError as error:
            raise RuntimeError(f'tried {n < 64}')
        """
        ),
        r"tried True",
    ),
    Attack(
        "too many open files",
        function(
            """
        try:
            files = [open('/dev/null') for _ in range(10_000)]
        except OSError as error:
            raise RuntimeError(f'tried {error.errno}')
        """
        ),
        r"tried 24",
    ),
    Attack(
        "processes that are never fetched",
        function(
            """
        import os
        for n in range(2000):
            try:
                if os.fork() == 0: os._exit(0)
            except OSError: break
        raise RuntimeError('tried')
        """
        ),
        r"tried",
    ),
    Attack(
        "dead again and again",
        {f"q{i}-solution": "import os\nos._exit(0)\n" for i in (1, 3, 6)},
        r"ended its process",
    ),
]
