/* environment.h - the variables that a task finds beside those that its description sets: what comes
 * from outside, and who it is. docs/batch-files.md lists them. */
#pragma once

#include "common/format/function.h"

/* What comes from outside: of its submitter if the broker sent it (private brokers), else of the
 * worker. */
extern const char *const environment_outer[4];
#define ENVIRONMENT_PATH "/usr/local/bin:/usr/bin:/bin" /* when there is no other */

/** environment_add() - append NAME=VALUE with its NUL, unless the function sets @name itself: its own
 * value is filled in for each task. */
void environment_add(struct buf *out, uint32_t *countp, const struct function *f,
		     const char *name, const char *value);
/** environment_add_ours() - what this process has of environment_outer[]. Return: PATH is among it. */
bool environment_add_ours(struct buf *out, uint32_t *countp, const struct function *f);

struct environment_task {	      /* who it is */
	const char *tmp, *checkpoint; /* folders */
	const char *name;
	const uint8_t *batch; /* DIGEST_SIZE bytes */
	uint32_t index, attempt;
	const char *devices; /* CUDA_VISIBLE_DEVICES; NULL: it has no gpus */
};
void environment_add_task(struct buf *out, uint32_t *countp, const struct function *f,
			  const struct environment_task *task);
