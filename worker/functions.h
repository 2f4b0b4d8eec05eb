/* functions.h - the function descriptions that the broker has sent, decoded once. Those in use are
 * counted; of the others FUNCTIONS_IDLE_MAX are kept. One that is forgotten is asked for again. */
#pragma once

#include "common/format/function.h"
#include "common/pure/list.h"
#include "proto/cashet.pb-c.h"
#include "worker/runner/pace.h"

#define FUNCTIONS_IDLE_MAX 4096

struct worker_function {
	struct worker_function *next; /* in its bucket */
	struct list idle; /* linked while refs is 0, least recently used first */
	uint32_t refs;
	uint8_t hash[DIGEST_SIZE];
	char *bad; /* why it cannot be executed, or NULL; then the rest is empty */
	char *name;
	struct function f;
	/* What was shipped of it; another one may come with each assignment. */
	bool has_source;
	uint8_t source[DIGEST_SIZE];
	uint8_t source_key[DIGEST_SIZE]; /* of it and of what the description says */
	/* The loop thread's alone (the rest may be read by others while refs > 0).
	 * Environment that is the same for all its tasks: NAME=VALUE strings, NUL after each. */
	struct buf env;
	uint32_t env_count;
	struct pace pace; /* of its calls */
};

struct functions {
	struct worker_function **buckets;
	struct list idle;
	size_t idle_count;
};

void functions_init(struct functions *t);
void functions_fini(struct functions *t); /* nothing is referenced any more */
/** functions_add() - decode and keep. A description that does not hash to its name is refused.
 * Return: borrowed; NULL if refused. */
struct worker_function *functions_add(struct functions *t,
				      const Cashet__AssignedFunction *m);
/** functions_find_ref() - NULL if not known; functions_unref() it. */
struct worker_function *functions_find_ref(struct functions *t,
					   const uint8_t hash[DIGEST_SIZE]);
void functions_unref(struct functions *t, struct worker_function *f);
/** function_outer_env() - append what a task gets from outside as NAME=VALUE strings: @pairs, or if
 * there are none the documented minimum of this worker; always with a PATH; without what the
 * function sets itself. */
void function_outer_env(const struct function *f, Cashet__Pair *const *pairs,
			size_t count, struct buf *out, uint32_t *countp);
/** function_is_plain() - true if nothing has to be laid out or collected but standard output. */
bool function_is_plain(const struct function *f);
