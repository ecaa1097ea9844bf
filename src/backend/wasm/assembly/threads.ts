// Threads: one program at a time, a barrier between operations, tasks handed out by a counter.
//
// Which thread takes a task is chance; no task's result may depend on it. A task owns the elements
// it writes, and sums over tasks are made of fixed parts added in a fixed order, so that any number
// of threads gives the same bits.

import { Control, THREAD_SCRATCH } from "../opcodes";

/** Reads of a shared word before a thread goes to sleep at a barrier, some tens of microseconds. */
const BARRIER_SPINS: i32 = 20000;
/** The same between programs, long enough for the host to sample a token. */
const PROGRAM_SPINS: i32 = 200000;

let thread: i32 = 0;
let threads: i32 = 1;
let maySleep: bool = false;

/** Tells this instance which of how many threads it is, and whether it may sleep: a page's may not. */
export function configure(index: i32, count: i32, sleeps: bool): void {
  thread = index;
  threads = count;
  maySleep = sleeps;
}

@inline
export function threadIndex(): i32 {
  return thread;
}

@inline
export function threadCount(): i32 {
  return threads;
}

/** Scratch of this thread alone. */

@inline
export function threadScratch(): usize {
  return load<usize>(Control.threadScratch) + <usize> thread * THREAD_SCRATCH;
}

/** Scratch that all threads see; its size was reserved when the operation was recorded. */

@inline
export function sharedScratch(): usize {
  return load<usize>(Control.sharedScratch);
}

/** The next task of this phase: 0, 1, 2, … over all threads. */

@inline
export function nextTask(): i32 {
  return threads == 1 ? soleTask() : atomic.add<i32>(Control.task, 1);
}

function soleTask(): i32 {
  const task = load<i32>(Control.task);
  store<i32>(Control.task, task + 1);
  return task;
}

/** Returns when all threads have come here; task numbers then start at 0 again. */
export function barrier(): void {
  if (threads == 1) {
    store<i32>(Control.task, 0);
    return;
  }
  const phase = atomic.load<i32>(Control.phase);
  if (atomic.add<i32>(Control.arrived, 1) == threads - 1) {
    atomic.store<i32>(Control.arrived, 0);
    atomic.store<i32>(Control.task, 0);
    atomic.add<i32>(Control.phase, 1);
    if (atomic.load<i32>(Control.waiters) > 0) atomic.notify(Control.phase);
  } else {
    waitWhile(Control.phase, phase, Control.waiters, BARRIER_SPINS);
  }
}

/** Spins, then sleeps, while the word at `address` is `value`. */
function waitWhile(address: usize, value: i32, sleepers: usize, spins: i32): void {
  while (atomic.load<i32>(address) == value) {
    if (--spins > 0 || !maySleep) continue;
    atomic.add<i32>(sleepers, 1);
    atomic.wait<i32>(address, value, -1);
    atomic.sub<i32>(sleepers, 1);
  }
}

/** Publishes the program from `start` to `end` and wakes the workers. */
export function publish(start: usize, end: usize): void {
  store<usize>(Control.program, start);
  store<usize>(Control.programEnd, end);
  if (threads == 1) return;
  atomic.add<i32>(Control.generation, 1);
  if (atomic.load<i32>(Control.sleepers) > 0) atomic.notify(Control.generation);
}

/** Waits for the program after `generation`; false when the worker is to leave. */
export function awaitProgram(generation: i32): bool {
  waitWhile(Control.generation, generation, Control.sleepers, PROGRAM_SPINS);
  return atomic.load<i32>(Control.stop) == 0;
}

/** Makes all workers leave. */
export function stop(): void {
  atomic.store<i32>(Control.stop, 1);
  atomic.add<i32>(Control.generation, 1);
  atomic.notify(Control.generation);
}
