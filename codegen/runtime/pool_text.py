"""The pool of threads, as LLVM text: `parallel_for` over chunks that are taken first come, first served.

    void pool.run(ptr task, ptr context, i64 total, i64 grain, i64 threads)
    void pool.await(ptr words, i64 count, i64 least)

calls task(context, lo, hi, worker) for chunks [lo, hi) of `grain` that make up [0, total), on the caller (worker 0) and
on up to threads - 1 workers. With threads < 0 it is at most -threads and at most what the user allows.
Workers compute in the caller's floating-point mode (rounding, denormals), so that the bits are the same whoever computes them.
Threads and the locks on which they park are CPython's own, which every platform has; none of it needs the GIL.

A worker spins on `generation` for some 50 us after its last chunk, then parks: it says that it sleeps, looks once more,
and waits for its lock, which whoever takes the word back from 1 to 0 releases. `job` is the number of workers inside
the current job, plus OPEN while they may still enter. So the caller waits for those alone that have entered: one that
wakes late finds the job closed. A second call at the same time, or one from inside a task, runs on its own thread.

`pool.await` is for a task that needs what others of the same job do: it returns once none of `count` words is below `least`. They
are being worked on, so that it does not park; but after as many looks it gives its core to whoever else may run, which with more
threads than free cores is the one that it waits for.
"""

from __future__ import annotations

import os

from graphc.codegen.llvm.pause import pause_of
from graphc.codegen.runtime.float_mode import mode_functions
from graphc.target import Target
from graphc.threads import MOST

RUN, AWAIT = "pool.run", "pool.await"
SPIN = 2000  # pauses, 25 to 50 us: longer than most serial stretches between kernels, shorter than what an idle thread may cost others
OPEN = 1 << 32
# words, each of the contended ones on a cache line of its own
BUSY, GENERATION, JOB, TASK, NEXT, STARTED, CLOSED, EXITED, ASLEEP, WORKERS = 0, 8, 16, 24, 32, 40, 41, 48, 56, 64
FN, CONTEXT, TOTAL, GRAIN, HELPERS, MODE = (TASK + k for k in range(6))
CALLER_LOCK = ASLEEP + 1
WORKER_WORDS = 8  # per worker: whether it sleeps, its lock, the generation it starts from
YIELD = "sched_yield" if hasattr(os, "sched_yield") else ""
LOCKS = ("PyThread_allocate_lock", "PyThread_acquire_lock", "PyThread_release_lock")
FUNCTIONS = ("PyThread_start_new_thread", *LOCKS, *[YIELD] * bool(YIELD))


def pool_text(target: Target) -> str:
    """The module."""
    pause, declared = pause_of(target)
    declarations, modes = mode_functions(target)
    text = declared + "\n".join(["", *declarations, *[f.text("nounwind ") for f in modes]]) + _TEXT
    for name, value in {
        "WORDS": WORKERS + MOST * WORKER_WORDS, "PAUSE": pause, "SPIN": SPIN, "OPEN": OPEN,
        "CLOSE": ~OPEN, "WORKER_WORDS": WORKER_WORDS,
        "YIELD": f"%given = call i32 @py.{YIELD}()" if YIELD else pause, "DECLARED": f"declare i32 @py.{YIELD}()" if YIELD else "",
    }.items():  # fmt: skip
        text = text.replace(f"${name}$", str(value))
    places = {
        "BUSY": BUSY, "GENERATION": GENERATION, "JOB": JOB, "FN": FN, "CONTEXT": CONTEXT, "TOTAL": TOTAL, "GRAIN": GRAIN,
        "HELPERS": HELPERS, "MODE": MODE, "NEXT": NEXT, "STARTED": STARTED, "CLOSED": CLOSED, "EXITED": EXITED, "ASLEEP": ASLEEP,
        "CALLER_LOCK": CALLER_LOCK, "WORKERS": WORKERS,
    }  # fmt: skip
    words = [f"@{name} = internal alias i64, getelementptr (i64, ptr @pool.state, i64 {word})" for name, word in places.items()]
    return text + "\n".join([*words, ""])


_TEXT = """
@pool.state = global [$WORDS$ x i64] zeroinitializer, align 64
@graphc.threads = external global i64
declare i64 @py.PyThread_start_new_thread(ptr, ptr)
declare ptr @py.PyThread_allocate_lock()
declare i32 @py.PyThread_acquire_lock(ptr, i32)
declare void @py.PyThread_release_lock(ptr)
$DECLARED$

define internal void @chunks(ptr %fn, ptr %context, i64 %total, i64 %grain, i64 %worker) nounwind {
entry:
  br label %take
take:
  %lo = atomicrmw add ptr @NEXT, i64 %grain monotonic
  %any = icmp slt i64 %lo, %total
  br i1 %any, label %work, label %done
work:
  %end = add i64 %lo, %grain
  %last = icmp slt i64 %end, %total
  %hi = select i1 %last, i64 %end, i64 %total
  call void %fn(ptr %context, i64 %lo, i64 %hi, i64 %worker)
  br label %take
done:
  ret void
}

; sleep until somebody sets `flag` back to 0 and releases the lock, unless *word is no longer `old`
define internal void @park(ptr %flag, ptr %lock, ptr %word, i64 %old) nounwind {
entry:
  %a = atomicrmw xchg ptr %flag, i64 1 seq_cst
  %now = load atomic i64, ptr %word seq_cst, align 8
  %same = icmp eq i64 %now, %old
  br i1 %same, label %wait, label %back
back:
  %was = atomicrmw xchg ptr %flag, i64 0 seq_cst
  %mine = icmp eq i64 %was, 1
  br i1 %mine, label %out, label %wait
wait:
  %b = call i32 @py.PyThread_acquire_lock(ptr %lock, i32 1)
  br label %out
out:
  ret void
}

define internal void @wake(ptr %flag, ptr %place) nounwind {
entry:
  %was = atomicrmw xchg ptr %flag, i64 0 seq_cst
  %asleep = icmp eq i64 %was, 1
  br i1 %asleep, label %release, label %out
release:
  %lock = load ptr, ptr %place, align 8
  call void @py.PyThread_release_lock(ptr %lock)
  br label %out
out:
  ret void
}

define internal void @worker(ptr %number) nounwind {
entry:
  %w = ptrtoint ptr %number to i64
  %at = mul i64 %w, $WORKER_WORDS$
  %flag = getelementptr i64, ptr @WORKERS, i64 %at
  %place = getelementptr i64, ptr %flag, i64 1
  %lock = load ptr, ptr %place, align 8
  %seen = getelementptr i64, ptr %flag, i64 2
  %first = load i64, ptr %seen, align 8
  %id = add i64 %w, 1
  br label %wait
wait:
  %old = phi i64 [ %first, %entry ], [ %old, %parked ], [ %generation, %late ], [ %generation, %leave ], [ %generation, %last ]
  br label %spin
spin:
  %k = phi i64 [ 0, %wait ], [ %k.next, %pause ]
  %generation = load atomic i64, ptr @GENERATION acquire, align 64
  %new = icmp ne i64 %generation, %old
  br i1 %new, label %go, label %pause
pause:
  $PAUSE$
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, $SPIN$
  br i1 %more, label %spin, label %parked
parked:
  call void @park(ptr %flag, ptr %lock, ptr @GENERATION, i64 %old)
  br label %wait
go:
  %closed = load atomic i64, ptr @CLOSED seq_cst, align 8
  %stop = icmp ne i64 %closed, 0
  br i1 %stop, label %exit, label %knock
knock:
  %job = load atomic i64, ptr @JOB acquire, align 64
  %open = icmp sge i64 %job, $OPEN$
  br i1 %open, label %enter, label %late
late:
  br label %wait
enter:
  %inside = add i64 %job, 1
  %pair = cmpxchg ptr @JOB, i64 %job, i64 %inside seq_cst seq_cst
  %in = extractvalue { i64, i1 } %pair, 1
  br i1 %in, label %entered, label %knock
entered:
  %helpers = load i64, ptr @HELPERS, align 8
  %wanted = icmp slt i64 %w, %helpers
  br i1 %wanted, label %work, label %leave.0
work:
  %fn = load ptr, ptr @FN, align 8
  %context = load ptr, ptr @CONTEXT, align 8
  %total = load i64, ptr @TOTAL, align 8
  %grain = load i64, ptr @GRAIN, align 8
  %mode = load i64, ptr @MODE, align 8
  %own = call i64 @float.mode()
  %alike = icmp eq i64 %mode, %own
  br i1 %alike, label %compute, label %adopt
adopt:
  call void @float.set_mode(i64 %mode)
  br label %compute
compute:
  call void @chunks(ptr %fn, ptr %context, i64 %total, i64 %grain, i64 %id)
  br label %leave.0
leave.0:
  %before = atomicrmw sub ptr @JOB, i64 1 seq_cst
  %empty = icmp eq i64 %before, 1
  br i1 %empty, label %last, label %leave
leave:
  br label %wait
last:
  call void @wake(ptr @ASLEEP, ptr @CALLER_LOCK)
  br label %wait
exit:
  %gone = atomicrmw add ptr @EXITED, i64 1 seq_cst
  ret void
}

; workers up to `wanted`; as many as there are in the end
define internal i64 @start(i64 %wanted) noinline nounwind {
entry:
  %had = load i64, ptr @STARTED, align 8
  %caller = load ptr, ptr @CALLER_LOCK, align 8
  %none = icmp eq ptr %caller, null
  br i1 %none, label %lock, label %loop
lock:
  %made = call ptr @py.PyThread_allocate_lock()
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %out, label %locked
locked:
  %t = call i32 @py.PyThread_acquire_lock(ptr %made, i32 1)
  store ptr %made, ptr @CALLER_LOCK, align 8
  br label %loop
loop:
  %w = phi i64 [ %had, %entry ], [ %had, %locked ], [ %w.next, %started ]
  %more = icmp slt i64 %w, %wanted
  br i1 %more, label %one, label %out
one:
  %at = mul i64 %w, $WORKER_WORDS$
  %flag = getelementptr i64, ptr @WORKERS, i64 %at
  %place = getelementptr i64, ptr %flag, i64 1
  %seen = getelementptr i64, ptr %flag, i64 2
  %new = call ptr @py.PyThread_allocate_lock()
  %bad = icmp eq ptr %new, null
  br i1 %bad, label %out, label %good
good:
  %u = call i32 @py.PyThread_acquire_lock(ptr %new, i32 1)
  store i64 0, ptr %flag, align 8
  store ptr %new, ptr %place, align 8
  %generation = load atomic i64, ptr @GENERATION acquire, align 64
  store i64 %generation, ptr %seen, align 8
  %number = inttoptr i64 %w to ptr
  %thread = call i64 @py.PyThread_start_new_thread(ptr @worker, ptr %number)
  %refused = icmp eq i64 %thread, -1
  br i1 %refused, label %out, label %started
started:
  %w.next = add i64 %w, 1
  store i64 %w.next, ptr @STARTED, align 8
  br label %loop
out:
  %count = load i64, ptr @STARTED, align 8
  ret i64 %count
}

define void @pool.run(ptr %fn, ptr %context, i64 %total, i64 %grain, i64 %threads) nounwind {
entry:
  %own = icmp sgt i64 %threads, 0
  %most = sub i64 0, %threads
  %allowed = load atomic i64, ptr @graphc.threads monotonic, align 8
  %less = icmp slt i64 %allowed, %most
  %both = select i1 %less, i64 %allowed, i64 %most
  %count = select i1 %own, i64 %threads, i64 %both
  %alone = icmp slt i64 %count, 2
  %short = icmp sle i64 %total, %grain
  %serial.0 = or i1 %alone, %short
  %closed = load atomic i64, ptr @CLOSED monotonic, align 8
  %over = icmp ne i64 %closed, 0
  %serial = or i1 %serial.0, %over
  br i1 %serial, label %by.itself, label %claim
claim:
  %pair = cmpxchg ptr @BUSY, i64 0, i64 1 acquire monotonic
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %claimed, label %by.itself
by.itself:
  call void %fn(ptr %context, i64 0, i64 %total, i64 0)
  ret void
claimed:
  %up = add i64 %total, %grain
  %up.1 = sub i64 %up, 1
  %pieces = udiv i64 %up.1, %grain
  %few = icmp slt i64 %pieces, %count
  %hands = select i1 %few, i64 %pieces, i64 %count
  %wanted = sub i64 %hands, 1
  %have = load i64, ptr @STARTED, align 8
  %enough = icmp sge i64 %have, %wanted
  br i1 %enough, label %ready, label %start
start:
  %started = call i64 @start(i64 %wanted)
  br label %ready
ready:
  %there = phi i64 [ %have, %claimed ], [ %started, %start ]
  %fewer = icmp slt i64 %there, %wanted
  %helpers = select i1 %fewer, i64 %there, i64 %wanted
  store ptr %fn, ptr @FN, align 8
  store ptr %context, ptr @CONTEXT, align 8
  store i64 %total, ptr @TOTAL, align 8
  store i64 %grain, ptr @GRAIN, align 8
  store i64 %helpers, ptr @HELPERS, align 8
  %mode = call i64 @float.mode()
  store i64 %mode, ptr @MODE, align 8
  store atomic i64 0, ptr @NEXT monotonic, align 64
  store atomic i64 $OPEN$, ptr @JOB seq_cst, align 64
  %g = atomicrmw add ptr @GENERATION, i64 1 seq_cst
  %somebody = icmp sgt i64 %helpers, 0
  br i1 %somebody, label %waking, label %share
waking:
  %w = phi i64 [ 0, %ready ], [ %w.next, %waking ]
  %at = mul i64 %w, $WORKER_WORDS$
  %flag = getelementptr i64, ptr @WORKERS, i64 %at
  %place = getelementptr i64, ptr %flag, i64 1
  call void @wake(ptr %flag, ptr %place)
  %w.next = add i64 %w, 1
  %others = icmp slt i64 %w.next, %helpers
  br i1 %others, label %waking, label %share
share:
  call void @chunks(ptr %fn, ptr %context, i64 %total, i64 %grain, i64 0)
  %j = atomicrmw and ptr @JOB, i64 $CLOSE$ seq_cst
  br label %join
join:
  %k = phi i64 [ 0, %share ], [ %k.next, %pause ], [ 0, %parked ]
  %inside = load atomic i64, ptr @JOB acquire, align 64
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %out, label %pause
pause:
  $PAUSE$
  %k.next = add i64 %k, 1
  %again = icmp slt i64 %k.next, $SPIN$
  br i1 %again, label %join, label %parked
parked:
  %lock = load ptr, ptr @CALLER_LOCK, align 8
  call void @park(ptr @ASLEEP, ptr %lock, ptr @JOB, i64 %inside)
  br label %join
out:
  store atomic i64 0, ptr @BUSY release, align 64
  ret void
}

define void @pool.await(ptr %words, i64 %count, i64 %least) nounwind {
entry:
  br label %word
word:
  %k = phi i64 [ 0, %entry ], [ %k.next, %done ]
  %more = icmp slt i64 %k, %count
  br i1 %more, label %look, label %end
look:
  %p = getelementptr i64, ptr %words, i64 %k
  br label %again
again:
  %looks = phi i64 [ 0, %look ], [ %looks.next, %pause ], [ %looks.next, %yield ]
  %now = load atomic i64, ptr %p acquire, align 8
  %there = icmp sge i64 %now, %least
  br i1 %there, label %done, label %not.yet
not.yet:
  %looks.next = add i64 %looks, 1
  %soon = icmp slt i64 %looks, $SPIN$
  br i1 %soon, label %pause, label %yield
pause:
  $PAUSE$
  br label %again
yield:
  $YIELD$
  br label %again
done:
  %k.next = add i64 %k, 1
  br label %word
end:
  ret void
}

; in a child process: there are no workers, and the locks may be in any state
define void @pool.reset() nounwind {
entry:
  store atomic i64 0, ptr @JOB seq_cst, align 64
  store i64 0, ptr @STARTED, align 8
  store i64 0, ptr @EXITED, align 8
  store i64 0, ptr @ASLEEP, align 8
  store ptr null, ptr @CALLER_LOCK, align 8
  store atomic i64 0, ptr @BUSY seq_cst, align 64
  ret void
}

; from now on every call runs on its own thread, and workers go; how many there are
define i64 @pool.close() nounwind {
entry:
  store atomic i64 1, ptr @CLOSED seq_cst, align 8
  %g = atomicrmw add ptr @GENERATION, i64 1 seq_cst
  %count = load i64, ptr @STARTED, align 8
  br label %loop
loop:
  %w = phi i64 [ 0, %entry ], [ %w.next, %one ]
  %more = icmp slt i64 %w, %count
  br i1 %more, label %one, label %out
one:
  %at = mul i64 %w, $WORKER_WORDS$
  %flag = getelementptr i64, ptr @WORKERS, i64 %at
  %place = getelementptr i64, ptr %flag, i64 1
  call void @wake(ptr %flag, ptr %place)
  %w.next = add i64 %w, 1
  br label %loop
out:
  ret i64 %count
}
"""
