/* emit.c - see emit.h. */
#include "client/batch/emit.h"

#include "common/pure/sha256.h"
#include "common/pure/utf8.h"

#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 100000 /* options, functions and groups that are remembered */

void *emit_take(struct emit *m, size_t count, size_t size)
{
	void *memory = arena_calloc(&m->scratch, count, size);
	if (!memory)
		source_no_memory(m->e);
	return memory;
}

bool emit_number(const struct map *known, const void *key, size_t size, uint32_t *numberp)
{
	uint32_t *number = map_find(known, key, size);
	if (number)
		*numberp = *number;
	return number;
}

int emit_remember(struct emit *m, struct map *known, const void *key, size_t size,
		  uint32_t number)
{
	const char *copy = arena_text(&m->arena, key, size);
	return copy && !map_put(known, copy, size, number) ? 0 : source_no_memory(m->e);
}

/* ---- what tasks get from the submitter's environment */

static int add_env(struct emit *m, const char *name)
{
	const char *value = getenv(name);
	if (!value || !utf8_valid(value, strlen(value)))
		return 0;
	Cashet__Pair *pair = malloc(sizeof *pair);
	if (!pair)
		return source_no_memory(m->e);
	cashet__pair__init(pair);
	pair->key = strdup(name);
	pair->value = strdup(value);
	m->env.env[m->env.n_env++] = pair;
	return pair->key && pair->value ? 0 : source_no_memory(m->e);
}

int emit_init(struct emit *m, struct builder *b, const struct targets *targets,
	      bool private_env, struct err *e)
{
	static const char *const names[] = {"HOME", "LANG", "PATH", "VIRTUAL_ENV"};
	*m = (struct emit){
		.builder = b, .targets = targets, .e = e, .env = CASHET__FUNCTION__INIT};
	m->env.env = calloc(ARRAY_LEN(names), sizeof *m->env.env);
	int r = m->env.env ? 0 : source_no_memory(e);
	for (size_t i = 0; !r && private_env && i < ARRAY_LEN(names); i++)
		r = add_env(m, names[i]);
	if (r)
		emit_fini(m);
	return r;
}

void emit_fini(struct emit *m)
{
	for (size_t i = 0; i < m->env.n_env; i++) {
		free(m->env.env[i]->key);
		free(m->env.env[i]->value);
		free(m->env.env[i]);
	}
	free(m->env.env);
	map_fini(&m->options);
	map_fini(&m->functions);
	map_fini(&m->groups);
	arena_fini(&m->arena);
	arena_fini(&m->scratch);
	buf_fini(&m->description);
	buf_fini(&m->args);
	buf_fini(&m->packed);
	*m = (struct emit){0};
}

void emit_forget(struct emit *m)
{
	if (m->options.count + m->functions.count + m->groups.count < KNOWN_MAX)
		return;
	map_reset(&m->options);
	map_reset(&m->functions);
	map_reset(&m->groups);
	arena_reset(&m->arena);
}

/* ---- options */

int emit_options(struct emit *m, const struct spec_task *task, bool keeps_stdout,
		 const struct emit_inputs *inputs, uint32_t *numberp)
{
	const struct spec_options *from = &task->options;
	Cashet__Options o = CASHET__OPTIONS__INIT;
	Cashet__Resource resources[SPEC_RESOURCES_MAX], *pointers[SPEC_RESOURCES_MAX];
	for (uint32_t i = 0; i < from->resource_count; i++) {
		pointers[i] = &resources[i];
		cashet__resource__init(pointers[i]);
		resources[i].name = (char *)from->resources[i].name;
		resources[i].milli = from->resources[i].amount;
	}
	o.retries = (uint32_t)from->retries;
	o.timeout_ns = from->timeout_ns;
	o.grace_ns = from->grace_ns;
	o.priority = (int32_t)from->priority;
	o.resources = pointers;
	o.n_resources = from->resource_count;
	o.cache = from->cache == SPEC_USE   ? CASHET__OPTIONS__CACHE__USE
		  : from->cache == SPEC_OFF ? CASHET__OPTIONS__CACHE__OFF
					    : CASHET__OPTIONS__CACHE__FORCE;
	o.ttl_s = from->ttl_s;
	o.externs = inputs->externs;
	o.n_externs = inputs->extern_count;
	o.stdout_is_result = keeps_stdout || (!task->call && !task->outputs.count);
	if (task->call) {
		o.isolation = task->call->fork ? CASHET__OPTIONS__ISOLATION__FORK
					       : CASHET__OPTIONS__ISOLATION__SHARED;
		o.interpreter = (char *)(task->call->python ? task->call->python : "");
	}
	o.best = (char **)from->best;
	o.n_best = from->best_count;
	o.secrets = (char **)from->secrets;
	o.n_secrets = from->secret_count;

	size_t size = cashet__options__get_packed_size(&o);
	buf_reset(&m->packed);
	uint8_t *to = buf_reserve(&m->packed, size + 1);
	if (!to)
		return source_no_memory(m->e);
	m->packed.size = cashet__options__pack(&o, to);
	if (emit_number(&m->options, m->packed.data, size, numberp))
		return 0;
	if (builder_add_options(m->builder, &o, numberp))
		return err_set(m->e, ERR_FAILED,
			       "the options of task \"%s\" cannot be packed", task->name);
	return emit_remember(m, &m->options, m->packed.data, size, *numberp);
}

/* ---- functions */

static int copy_pairs(struct emit *m, const struct spec_pairs *from,
		      struct function_pair **top)
{
	if (!(*top = emit_take(m, from->count, sizeof **top)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < from->count; i++)
		(*top)[i] = (struct function_pair){(char *)from->items[i].key,
						   (char *)from->items[i].value};
	return 0;
}

static int copy_code(struct emit *m, const struct spec_task *task, struct function *f)
{
	f->code_count = task->code_count;
	if (!(f->code = emit_take(m, f->code_count, sizeof *f->code)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->code_count; i++) {
		const struct spec_code *from = &task->code[i];
		f->code[i].path = (char *)from->path;
		f->code[i].executable = from->file->content.type == CONTENT_EXEC;
		f->code[i].scheme = from->scheme;
		memcpy(f->code[i].digest, from->digest, DIGEST_SIZE);
	}
	return 0;
}

struct written { /* a parameter, and its place in the file */
	const char *name;
	uint32_t place;
};

static int by_written_name(const void *a, const void *b)
{
	const struct written *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* give_order() - @names as written become the numbers that they have when sorted; nothing where
 * that is how they were written. */
static int give_order(struct emit *m, char *const *names, size_t count,
		      Cashet__Function *f)
{
	struct written *sorted = emit_take(m, count, sizeof *sorted);
	uint32_t *order = emit_take(m, count, sizeof *order);
	bool differ = false;
	if (!sorted || !order)
		return ERR_FAILED;
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = (struct written){names[i], i};
	if (count)
		qsort(sorted, count, sizeof *sorted, by_written_name);
	for (uint32_t i = 0; i < count; i++) {
		order[sorted[i].place] = i;
		differ = differ || sorted[i].place != i;
	}
	f->param_order = order;
	f->n_param_order = differ ? count : 0;
	return 0;
}

/* describe() - the canonical bytes in m->description, and the order of the parameters, which these
 * do not have, in @extra. Nothing is copied: all is borrowed. */
static int describe(struct emit *m, const struct spec_task *task, Cashet__Function *extra)
{
	uint32_t axes = task->sweep ? task->sweep->axis_count : 0;
	struct function f = {.argv = (char **)task->argv,
			     .argc = task->argc,
			     .shell = (char *)task->shell,
			     .env_count = task->env.count,
			     .output_count = task->outputs.count,
			     .param_count = task->param_count + axes,
			     .input_count = task->input_count,
			     .metrics = (char *)task->metrics,
			     .salt = (char *)task->salt};
	f.params = emit_take(m, f.param_count, sizeof *f.params);
	f.inputs = emit_take(m, f.input_count, sizeof *f.inputs);
	if (!f.params || !f.inputs || copy_code(m, task, &f) ||
	    copy_pairs(m, &task->env, &f.env) ||
	    copy_pairs(m, &task->outputs, &f.outputs))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->param_count; i++)
		f.params[i] = (char *)task->params[i].name;
	for (uint32_t i = 0; i < axes; i++)
		f.params[task->param_count + i] = (char *)task->sweep->axes[i].name;
	if (give_order(m, f.params, f.param_count, extra))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->input_count; i++)
		f.inputs[i] = (char *)task->inputs[i].name;
	buf_reset(&m->description);
	function_encode(&m->description, &f);
	return m->description.failed ? source_no_memory(m->e) : 0;
}

/* describe_call() - the same of a function by source. */
static int describe_call(struct emit *m, const struct spec_task *task,
			 Cashet__Function *extra)
{
	struct spec_call *call = task->call;
	const struct source_unit *unit = &call->function->unit;
	struct function f = {.language = unit->language,
			     .version = (char *)call->version,
			     .env_count = task->env.count,
			     .salt = (char *)task->salt};
	memcpy(f.identity, unit->identity, DIGEST_SIZE);
	if (copy_pairs(m, &task->env, &f.env) || copy_code(m, task, &f))
		return ERR_FAILED;
	extra->params = (char **)call->labels;
	extra->n_params = call->label_count;
	buf_reset(&m->description);
	function_encode(&m->description, &f);
	return m->description.failed ? source_no_memory(m->e) : 0;
}

static void hash_text(struct sha256 *sha, const char *text)
{
	sha256_update(sha, text, strlen(text) + 1);
}

int emit_function(struct emit *m, const struct spec_task *task, uint32_t options,
		  uint32_t *numberp)
{
	Cashet__Function with = m->env;
	int e = task->call ? describe_call(m, task, &with) : describe(m, task, &with);
	if (e)
		return e;
	if (task->shipped)
		with.source = (ProtobufCBinaryData){DIGEST_SIZE, task->shipped->digest};
	uint8_t key[DIGEST_SIZE];
	struct sha256 sha;
	sha256_init(&sha);
	sha256_update(&sha, m->description.data, m->description.size);
	sha256_update(&sha, &options, sizeof options);
	sha256_update(&sha, with.param_order,
		      with.n_param_order * sizeof *with.param_order);
	sha256_update(&sha, with.source.data, with.source.len);
	for (size_t i = 0; i < with.n_params; i++)
		hash_text(&sha, with.params[i]);
	hash_text(&sha, task->call ? task->call->node->text : task->name);
	for (uint32_t i = 0; i < task->tags.count; i++) {
		hash_text(&sha, task->tags.items[i].key);
		hash_text(&sha, task->tags.items[i].value);
	}
	sha256_final(&sha, key);
	if (emit_number(&m->functions, key, sizeof key, numberp))
		return 0;

	Cashet__Pair *pairs = emit_take(m, task->tags.count, sizeof *pairs);
	with.tags = emit_take(m, task->tags.count, sizeof *with.tags);
	if (!pairs || !with.tags)
		return ERR_FAILED;
	with.n_tags = task->tags.count;
	for (uint32_t i = 0; i < task->tags.count; i++) {
		cashet__pair__init(&pairs[i]);
		pairs[i].key = (char *)task->tags.items[i].key;
		pairs[i].value = (char *)task->tags.items[i].value;
		with.tags[i] = &pairs[i];
	}
	const char *name = task->call ? task->call->node->text : task->name;
	e = builder_add_function(m->builder, &m->description, name, options, &with,
				 numberp, m->e);
	return e ? e : emit_remember(m, &m->functions, key, sizeof key, *numberp);
}
