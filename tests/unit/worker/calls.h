/* calls.h - what the tests of calls share: functions of the fake runner (cashet-runner-fake), which does
 * what their names say. */
#pragma once

#include "tests/unit/worker/whole.h"

struct made { /* one function, as a client would ship it */
	struct function f;
	uint8_t source[DIGEST_SIZE];
};

/** calls_start() - as whole_start(), with the fake runner. */
void calls_start(struct fake *f);
/** calls_make() - a function of that name; its source goes to the store. @name lives as long. */
void calls_make(struct fake *f, struct made *m, const char *name);
/** calls_run() - a call without arguments. Return: its epoch. */
uint64_t calls_run(struct fake *f, const char *name);
uint64_t calls_run_with(struct fake *f, const char *name, const struct fake_task *task);
/** calls_outcome() - as whole_outcome(); a lease that comes back, since it waits or others fail, is assigned
 * again, as a broker would. */
Cashet__Outcome *calls_outcome(struct fake *f, uint64_t epoch, const char *name);
/** calls_fail() - run one and wait for its failure. Return: its outcome; the error is @error. */
Cashet__Outcome *calls_fail(struct fake *f, const char *name, const char *error);
/** calls_result() - of a completed one, as text; lasts until the next call. */
const char *calls_result(struct fake *f, const Cashet__Outcome *o);
const char *calls_err(struct fake *f, const Cashet__Outcome *o);
/** calls_noted() - what functions have noted so far. */
const char *calls_noted(struct fake *f);
/** calls_wait_noted() - until a function has noted something; the test fails without. */
const char *calls_wait_noted(struct fake *f);
