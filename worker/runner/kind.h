/* kind.h - what a runner is started with: language, interpreter, environment, secrets, resources. Calls of
 * one kind may share a runner, whatever function they call. Kinds are few and live as long as
 * somebody refers to them; that two are the same is one comparison of pointers. */
#pragma once

#include "common/err.h"
#include "common/format/function.h"
#include "common/pure/list.h"
#include "worker/resources.h"

struct kind {
	struct list link;
	uint32_t refs;
	uint8_t key[DIGEST_SIZE]; /* of all that is below */
	char *language;		  /* "command": no runner, only what checks its source */
	char *interpreter;	  /* "": the runner's own choice */
	struct buf env;		  /* NAME=VALUE, each with its NUL; without secrets */
	uint32_t env_count;
	struct resources resources;
	char **secrets; /* names */
	size_t secret_count;
};

struct kinds {
	struct list all;
};

struct kind_want { /* borrowed */
	const struct function *function;
	const char *interpreter; /* or NULL */
	const struct buf *outer; /* NAME=VALUE strings from outside */
	uint32_t outer_count;
	const struct resources *resources;
	char *const *secrets;
	size_t secret_count;
};

void kinds_init(struct kinds *k);
/** kinds_get() - Return: a kind to be kind_unref()ed; NULL if the function's environment has an
 * unknown ${...}, in @e. */
struct kind *kinds_get(struct kinds *k, const struct kind_want *want, struct err *e);
void kind_ref(struct kind *kind);
void kind_unref(struct kind *kind); /* or NULL */
