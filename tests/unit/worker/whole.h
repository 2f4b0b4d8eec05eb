/* whole.h - what the tests of a whole worker share: a fake broker with a worker, and shell commands
 * as tasks. Texts that are returned last until the next call. */
#pragma once

#include "tests/unit/worker/fake_broker.h"

#define LONG_MS 60000

/** whole_start() - a broker, and a worker that has joined it. */
void whole_start(struct fake *f);
/** whole_run() - a shell command as a task. Return: its epoch. */
uint64_t whole_run(struct fake *f, const char *shell);
uint64_t whole_run_with(struct fake *f, const char *shell,
			const Cashet__Options *options);
/** whole_outcome() - wait for it; the test fails without. */
Cashet__Outcome *whole_outcome(struct fake *f, uint64_t epoch);
const char *whole_out(struct fake *f, const Cashet__Outcome *o); /* standard output */
const char *whole_path(struct fake *f, const char *name); /* in the test's directory */
/** whole_telling() - "sh" for a task that tells by the file @name that it has begun, then @then; the
 * last two are kept. */
const char *whole_telling(struct fake *f, const char *name, const char *then);
pid_t whole_wait_for_pid(struct fake *f, const char *name); /* what such a task wrote */
bool whole_is_alive(pid_t pid);
