/* environment.c - see environment.h. */
#include "common/task/environment.h"

#include "common/pure/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const environment_outer[4] = {"PATH", "HOME", "LANG", "VIRTUAL_ENV"};

static bool sets(const struct function *f, const char *name)
{
	for (size_t i = 0; i < f->env_count; i++)
		if (strcmp(f->env[i].name, name) == 0)
			return true;
	return false;
}

void environment_add(struct buf *out, uint32_t *countp, const struct function *f,
		     const char *name, const char *value)
{
	if (sets(f, name) || !*name || strchr(name, '='))
		return;
	buf_add_str(out, name);
	buf_add_byte(out, '=');
	buf_add(out, value, strlen(value) + 1);
	++*countp;
}

bool environment_add_ours(struct buf *out, uint32_t *countp, const struct function *f)
{
	bool has_path = false;
	for (size_t i = 0; i < ARRAY_LEN(environment_outer); i++) {
		const char *name = environment_outer[i], *value = getenv(name);
		if (value)
			environment_add(out, countp, f, name, value);
		has_path = has_path || (value && !strcmp(name, "PATH"));
	}
	return has_path;
}

void environment_add_task(struct buf *out, uint32_t *countp, const struct function *f,
			  const struct environment_task *task)
{
	char text[HEX_DIGEST_SIZE];
	environment_add(out, countp, f, "TMPDIR", task->tmp);
	environment_add(out, countp, f, "CASHET_CHECKPOINT", task->checkpoint);
	environment_add(out, countp, f, "CASHET_TASK", task->name);
	environment_add(out, countp, f, "CASHET_BATCH",
			hex_encode(text, task->batch, DIGEST_SIZE));
	snprintf(text, sizeof text, "%" PRIu32, task->index);
	environment_add(out, countp, f, "CASHET_INDEX", text);
	snprintf(text, sizeof text, "%" PRIu32, task->attempt);
	environment_add(out, countp, f, "CASHET_ATTEMPT", text);
	if (task->devices)
		environment_add(out, countp, f, "CUDA_VISIBLE_DEVICES", task->devices);
}
