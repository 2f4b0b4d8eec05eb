/* spec_size.c - how large the canonical description of a task's function will be, so that one that
 * the broker would refuse is refused while the file is being read, with its name and place. The
 * sum follows the layout in function.h; a test holds it against function_encode(). */
#include "client/batch/spec.h"

#include "common/format/function.h"

#include <inttypes.h>
#include <string.h>

#define TAG "cashet.function"
#define KIND "command"

/* Of a CBOR head that carries @n. */
static uint64_t head(uint64_t n)
{
	return n < 24		 ? 1
	       : n <= UINT8_MAX	 ? 2
	       : n <= UINT16_MAX ? 3
	       : n <= UINT32_MAX ? 5
				 : 9;
}

static uint64_t text(const char *s)
{
	size_t size = strlen(s);
	return head(size) + size;
}

static uint64_t text_or_null(const char *s)
{
	return s ? text(s) : 1;
}

static uint64_t pairs(const struct spec_pairs *p, uint64_t around_each)
{
	uint64_t size = head(p->count);
	for (uint32_t i = 0; i < p->count; i++)
		size += around_each + text(p->items[i].key) + text(p->items[i].value);
	return size;
}

static uint64_t run(const struct spec_task *t)
{
	if (t->call)
		return 0;
	if (t->shell)
		return text(t->shell);
	uint64_t size = head(t->argc);
	for (uint32_t i = 0; i < t->argc; i++)
		size += text(t->argv[i]);
	return size;
}

static uint64_t params(const struct spec_task *t)
{
	uint32_t axes = t->sweep ? t->sweep->axis_count : 0;
	uint64_t size = head((uint64_t)t->param_count + axes);
	for (uint32_t i = 0; i < t->param_count; i++)
		size += text(t->params[i].name);
	for (uint32_t i = 0; i < axes; i++)
		size += text(t->sweep->axes[i].name);
	return size;
}

static uint64_t code(const struct spec_task *t)
{
	uint64_t size = head(t->code_count);
	for (uint32_t i = 0; i < t->code_count; i++) /* [path, bool, 1, digest] */
		size += 1 + text(t->code[i].path) + 1 + 1 + head(DIGEST_SIZE) +
			DIGEST_SIZE;
	return size;
}

/* ["cashet.function", 1, LANGUAGE, IDENTITY, VERSION, ENV, SALT, CODE] */
static uint64_t call(const struct spec_task *t)
{
	return 1 + text(TAG) + 1 + text(t->call->function->unit.language) +
	       head(DIGEST_SIZE) + DIGEST_SIZE + text_or_null(t->call->version) +
	       pairs(&t->env, 0) + text_or_null(t->salt) + code(t);
}

uint64_t spec_description_size(const struct spec_task *t)
{
	if (t->call)
		return call(t);
	uint64_t size = 1 + text(TAG) + 1 + text(KIND);
	size += run(t) + pairs(&t->env, 0) + params(t) + head(t->input_count);
	for (uint32_t i = 0; i < t->input_count; i++)
		size += text(t->inputs[i].name);
	return size + pairs(&t->outputs, 1) + text_or_null(t->metrics) +
	       text_or_null(t->salt) + code(t);
}

const char *spec_largest_part(const struct spec_task *t)
{
	uint64_t of_run = run(t), of_code = code(t), of_env = pairs(&t->env, 0);
	return of_run >= of_code && of_run >= of_env ? "run"
	       : of_code >= of_env		     ? "code"
						     : "env";
}

int spec_check_size(struct spec *s, const struct spec_task *task)
{
	uint64_t size = spec_description_size(task);
	if (size <= FUNCTION_SIZE_MAX)
		return 0;
	doc_fail(s->doc, task->node,
		 "the description of task \"%s\" has %" PRIu64
		 " bytes, most of them in %s; the limit is %u MiB",
		 task->name, size, spec_largest_part(task), FUNCTION_SIZE_MAX >> 20);
	err_next(s->doc->e, SPEC_SIZE_NEXT);
	return ERR_USAGE;
}
