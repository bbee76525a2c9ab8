"""The loop that runs a program: a table of rows [entry, flags, arguments...], one row a launch.

Every thread of the team runs the same table; each kernel takes its own part and a barrier follows
each launch. The words that the threads share lie in `control`, each on a cache line of its own.
"""

from ._jit import kernel
from ._native import add, address, call, call_plain, exchange, load, pause

LINE = 8  # int64 words in a cache line
JOB, ARRIVED, BASE, TABLE, ROWS, WIDTH, WORDS, STEPS, STOP, YIELD, SPINS, LATE, WAKE = (
    LINE * i for i in range(13)
)
SLEEPING = 13 * LINE  # from here on two lines for each thread: asleep?, [last job seen, row]
HEAD = 2  # words of a row before its arguments
FREE, STOPS = 1, 2  # flags of a row: no barrier behind it; the run ends behind it if asked to


def control_words(threads):
    """Length of `control` for a team of so many threads."""
    return SLEEPING + 2 * LINE * threads


@kernel("table:int64[rows,width] stop:int64[1]; steps:int64", split="threads")
def run_serial(table, stop, steps):
    """Run a whole table so many times on the calling thread."""
    rows, width = table.shape
    for _ in range(steps):
        row = address(table)
        for _ in range(rows):
            call(load(row), row + 8 * HEAD, 0, 1)
            if load(row + 8) & STOPS and load(address(stop)) != 0:
                return
            row += 8 * width


@kernel("table:int64[rows,width] -> control:int64[words]; tid nt", split="threads")
def run_team(table, control, tid, nt):
    """Run this thread's part of every row; a barrier after each that is not marked as free of it.

    `control` says how many times the table is run, and where the word lies that ends it early.
    """
    place = address(control)
    limit, stop = control[SPINS], control[STOP]
    target = control[BASE]
    rows, width = table.shape
    for _ in range(control[STEPS]):
        row = address(table)
        for _ in range(rows):
            call(load(row), row + 8 * HEAD, tid, nt)
            flags = load(row + 8)
            row += 8 * width
            if flags & FREE:
                continue
            target += nt
            add(place + 8 * ARRIVED, 1)
            spins = 0
            while load(place + 8 * ARRIVED) < target:
                pause()
                spins += 1
                if spins > limit:  # the others are not running: give the core away
                    if tid == 0:
                        control[LATE] += 1
                    call_plain(control[YIELD])
            if flags & STOPS and load(stop) != 0:
                return


@kernel("-> control:int64[words]; threads:int64", split="threads")
def publish(control, threads):
    """Announce the job in TABLE and ROWS; WAKE becomes the set of threads that sleep, as bits."""
    place = address(control)
    control[BASE] = load(place + 8 * ARRIVED)
    control[LATE] = 0
    add(place + 8 * JOB, 1)
    asleep = 0
    for i in range(1, threads):
        if exchange(place + 8 * (SLEEPING + 2 * LINE * i), 0) == 1:
            asleep |= 1 << i
    control[WAKE] = asleep


@kernel("-> control:int64[words]; entry:int64 tid nt", split="threads")
def work(control, entry, tid, nt):
    """Serve jobs (`entry` is run_team's) until none has come for a while, then fall asleep."""
    place = address(control)
    asleep = SLEEPING + 2 * LINE * tid
    row = asleep + LINE  # [last job seen, then the row for run_team]
    while True:
        spins = 0
        while load(place + 8 * JOB) == control[row]:
            pause()
            spins += 1
            if spins > control[SPINS]:
                exchange(place + 8 * asleep, 1)
                if load(place + 8 * JOB) == control[row]:
                    return
                # a job came meanwhile: whoever takes the flag first decides who wakes this thread
                if exchange(place + 8 * asleep, 0) == 0:
                    return
        control[row] = load(place + 8 * JOB)
        control[row + 1] = control[TABLE]
        control[row + 2] = place
        control[row + 3] = control[ROWS]
        control[row + 4] = control[WIDTH]
        control[row + 5] = control[WORDS]
        call(entry, place + 8 * (row + 1), tid, nt)
