"""Change the judge, third part: forged and broken frames on the wire."""

from grading.attack import WIRE, ZEROS, Attack, function

ENDED = r"ProcessEnded: nothing came back"

ATTACKS = [
    Attack(
        "an answer to the open question, and then the true one",
        function(
            "channel, number = wire(); channel.sendall(frame_of({'number': number, 'result': None}) * 3)\n" + ZEROS,
            WIRE,
        ),
        r"got None|nothing came back",
    ),
    Attack(
        "answers ahead of the questions",
        function(
            """
            channel, number = wire()
            for ahead in range(1, 50):
                channel.sendall(frame_of({"number": number + ahead, "result": None}))
            """,
            WIRE,
            ZEROS,
        ),
        ENDED,
    ),
    Attack(
        "answers with guessed numbers, from another process",
        function(
            """
            import os
            channel, number = wire()
            if os.fork() == 0:
                for guess in range(2000):
                    channel.sendall(frame_of({"number": number + guess, "result": {"list": []}}))
                os._exit(0)
            """,
            WIRE,
            ZEROS,
        ),
        r"got a list|values differ|nothing came back",
        spoils=True,
    ),
    Attack(
        "a forged definition",
        {
            "q3-solution": WIRE
            + "channel, number = wire()\n"
            + "channel.sendall(frame_of({'number': number, 'functions': ['conv_2d', 'checks', 'np', 'output_size']}))\n"
        },
        r"conv_2d|nothing came back",
        spoils=True,
    ),
    Attack(
        "changed arguments that are not",
        function(
            """
            channel, number = wire()
            zeros = {"array": list(x.shape), "dtype": "<f8", "at": 0}
            changed = {"number": number, "result": zeros, "changed": {"0": zeros}, "sizes": [x.nbytes]}
            channel.sendall(frame_of(changed, bytes(x.nbytes)))
            time.sleep(0.2)
            """,
            WIRE,
        ),
        r"nothing came back|argument 1 was changed",
    ),
    Attack(
        "forged numbers of modules",
        function(
            "channel, number = wire()\nchannel.sendall(frame_of({'number': number, 'result': {'module': 7}}))",
            WIRE,
        ),
        r"got a _Module",
    ),
    Attack("garbage", function("wire()[0].sendall(bytes(range(256)) * 4000)", WIRE), ENDED),
    Attack("a header of 4 GB", function("wire()[0].sendall(b'\\xff' * 4)\ntime.sleep(9)", WIRE), ENDED),
    Attack(
        "deep JSON",
        function("wire()[0].sendall(frame_of(b'{\"number\":1,\"result\":' + b'[' * 10**6))\ntime.sleep(9)", WIRE),
        ENDED,
    ),
    Attack(
        "sizes with thousands of digits, while the cell is defined",
        {
            "q3-solution": WIRE
            + "big = b'9' * 4300\n"
            + 'wire()[0].sendall(frame_of(b\'{"number":1,"sizes":[%s,%s]}\' % (big, big)))\ntime.sleep(9)\n'
        },
        r"q3-solution ended its process",
    ),
    Attack(
        "one array ten thousand times",
        function(
            """
            channel, number = wire()
            one = {"array": [1 << 20], "dtype": "<f8", "at": 0}
            many = {"number": number, "result": {"list": [one] * 10000}, "sizes": [8 << 20]}
            channel.sendall(frame_of(many, bytes(8 << 20)))
            time.sleep(9)
            """,
            WIRE,
        ),
        ENDED,
    ),
    Attack(
        "packed values that pack does not make",
        function(
            """
            channel, number = wire()
            odd = [{"array": [-1], "dtype": "<f8"}, {"array": [3], "dtype": "O"}, {"float": "0x" + "f" * 30}]
            channel.sendall(frame_of({"number": number, "result": {"list": odd}}))
            time.sleep(9)
            """,
            WIRE,
        ),
        ENDED,
    ),
]
