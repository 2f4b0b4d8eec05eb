/* emit.c - see emit.h. */
#include "client/batch/emit.h"

#include "common/pure/sha256.h"
#include "common/pure/utf8.h"
#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 100000 /* options, functions and groups that are remembered */
#define ARGS_HEAD 3 /* bytes of [1, []] before the inputs: heads of both arrays, and 1 */

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

static void forget(struct emit *m)
{
	if (m->options.count + m->functions.count + m->groups.count < KNOWN_MAX)
		return;
	map_reset(&m->options);
	map_reset(&m->functions);
	map_reset(&m->groups);
	arena_reset(&m->arena);
}

/* ---- options */

static int give_options(struct emit *m, const struct spec_task *task, bool keeps_stdout,
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
	o.stdout_is_result = !task->outputs.count || keeps_stdout;
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
			     .salt = (char *)task->salt,
			     .code_count = task->code_count};
	f.params = emit_take(m, f.param_count, sizeof *f.params);
	f.inputs = emit_take(m, f.input_count, sizeof *f.inputs);
	f.code = emit_take(m, f.code_count, sizeof *f.code);
	if (!f.params || !f.inputs || !f.code || copy_pairs(m, &task->env, &f.env) ||
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
	for (uint32_t i = 0; i < task->code_count; i++) {
		const struct files_member *file = task->code[i].file;
		f.code[i].path = (char *)task->code[i].path;
		f.code[i].executable = file->content.type == CONTENT_EXEC;
		memcpy(f.code[i].digest, file->content.digest, DIGEST_SIZE);
	}
	buf_reset(&m->description);
	function_encode(&m->description, &f);
	return m->description.failed ? source_no_memory(m->e) : 0;
}

static void hash_text(struct sha256 *sha, const char *text)
{
	sha256_update(sha, text, strlen(text) + 1);
}

static int give_function(struct emit *m, const struct spec_task *task, uint32_t options,
			 uint32_t *numberp)
{
	Cashet__Function with = m->env;
	int e = describe(m, task, &with);
	if (e)
		return e;
	uint8_t key[DIGEST_SIZE];
	struct sha256 sha;
	sha256_init(&sha);
	sha256_update(&sha, m->description.data, m->description.size);
	sha256_update(&sha, &options, sizeof options);
	sha256_update(&sha, with.param_order,
		      with.n_param_order * sizeof *with.param_order);
	hash_text(&sha, task->name);
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
	e = builder_add_function(m->builder, &m->description, task->name, options, &with,
				 numberp, m->e);
	return e ? e : emit_remember(m, &m->functions, key, sizeof key, *numberp);
}

/* ---- tasks */

struct parameter {
	const char *name;
	const struct value *value;
};

struct task_frame { /* what the tasks of one entry share */
	const char *name;
	Cashet__TaskSpec spec;
	struct parameter *parameters; /* sorted by name */
	uint32_t parameter_count;
	struct buf tail;      /* the arguments behind the values */
	uint32_t *ref_places; /* of each reference's placeholder in it */
	bool needs_nonce;
	uint8_t nonce[NONCE_SIZE];
};

static int by_name(const void *a, const void *b)
{
	const struct parameter *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int set_parameters(struct emit *m, const struct spec_task *task,
			  const struct sweep_walk *walk, struct task_frame *f)
{
	uint32_t axes = task->sweep ? task->sweep->axis_count : 0,
		 count = task->param_count + axes;
	f->parameter_count = count;
	if (!(f->parameters = emit_take(m, count, sizeof *f->parameters)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->param_count; i++)
		f->parameters[i] =
			(struct parameter){task->params[i].name, &task->params[i].value};
	for (uint32_t i = 0; i < axes; i++)
		f->parameters[task->param_count + i] =
			(struct parameter){task->sweep->axes[i].name, &walk->values[i]};
	if (count > 1)
		qsort(f->parameters, count, sizeof *f->parameters, by_name);
	return 0;
}

/* set_tail() - encode the inputs once; values, whose sizes vary, only move them. */
static int set_tail(struct emit *m, struct emit_inputs *inputs, struct task_frame *f)
{
	args_encode(&f->tail, &inputs->args);
	f->ref_places = emit_take(m, inputs->ref_count, sizeof *f->ref_places);
	if (f->tail.failed)
		return source_no_memory(m->e);
	if (!f->ref_places)
		return ERR_FAILED;
	assert(f->tail.size > ARGS_HEAD);
	for (uint32_t i = 0; i < inputs->ref_count; i++)
		f->ref_places[i] =
			(uint32_t)(inputs->args.inputs[inputs->refs[i]->offset].offset -
				   ARGS_HEAD);
	f->spec.refs = inputs->refs;
	f->spec.n_refs = inputs->ref_count;
	return 0;
}

static int by_index(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* A task may be meant twice, by its name and by its number; it is needed once. */
static void sort_needs(Cashet__TaskSpec *spec)
{
	size_t count = 0;
	qsort(spec->needs, spec->n_needs, sizeof *spec->needs, by_index);
	for (size_t i = 0; i < spec->n_needs; i++)
		if (!count || spec->needs[count - 1] != spec->needs[i])
			spec->needs[count++] = spec->needs[i];
	spec->n_needs = count;
}

static int set_needs(struct emit *m, const struct spec_task *task, struct task_frame *f)
{
	const struct targets *t = m->targets;
	uint32_t first;
	size_t count = 0;
	for (uint32_t i = 0; i < task->need_count; i++)
		for (uint32_t at = task->needs[i].target; at != TARGET_NONE;
		     at = ref_next(t, &task->needs[i], at))
			count += ref_tasks(t, &task->needs[i], at, &first);
	if (!(f->spec.needs = emit_take(m, count, sizeof *f->spec.needs)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->need_count; i++) {
		const struct spec_ref *ref = &task->needs[i];
		for (uint32_t at = ref->target; at != TARGET_NONE;
		     at = ref_next(t, ref, at)) {
			uint32_t tasks = ref_tasks(t, ref, at, &first);
			for (uint32_t k = 0; k < tasks; k++)
				f->spec.needs[f->spec.n_needs++] = first + k;
		}
	}
	if (task->need_count > 1)
		sort_needs(&f->spec);
	return 0;
}

static void draw_nonce(struct emit *m, uint8_t nonce[NONCE_SIZE])
{
	if (m->nonces_left < NONCE_SIZE) {
		rand_bytes(m->nonces, sizeof m->nonces);
		m->nonces_left = sizeof m->nonces;
	}
	m->nonces_left -= NONCE_SIZE;
	memcpy(nonce, m->nonces + m->nonces_left, NONCE_SIZE);
}

static int args_too_large(struct emit *m, const struct task_frame *f)
{
	err_set(m->e, ERR_USAGE,
		"the arguments of task \"%s\" take %zu bytes; the limit is %u MiB",
		f->name, m->args.size, ARGS_SIZE_MAX >> 20);
	err_next(m->e,
		 "pass long texts as files, and many files as a folder or as the output "
		 "of a task");
	return ERR_USAGE;
}

static int give_task(struct emit *m, struct task_frame *f)
{
	struct buf *args = &m->args;
	buf_reset(args);
	cbor_add_array(args, 3);
	cbor_add_uint(args, 1);
	cbor_add_array(args, f->parameter_count);
	for (uint32_t i = 0; i < f->parameter_count; i++)
		value_encode(args, f->parameters[i].value);
	for (size_t i = 0; i < f->spec.n_refs; i++)
		f->spec.refs[i]->offset = (uint32_t)args->size + f->ref_places[i];
	buf_add(args, f->tail.data + ARGS_HEAD, f->tail.size - ARGS_HEAD);
	if (args->failed)
		return source_no_memory(m->e);
	if (args->size > ARGS_SIZE_MAX)
		return args_too_large(m, f);
	f->spec.args = (ProtobufCBinaryData){args->size, args->data};
	if (f->needs_nonce) {
		draw_nonce(m, f->nonce);
		f->spec.nonce = (ProtobufCBinaryData){NONCE_SIZE, f->nonce};
	}
	return builder_add_task(m->builder, &f->spec, NULL, m->e);
}

static int give_tasks(struct emit *m, const struct spec_task *task, struct task_frame *f)
{
	struct sweep_walk walk = {0};
	if (task->sweep && sweep_walk_init(&walk, task->sweep, &m->scratch))
		return source_no_memory(m->e);
	int e = set_parameters(m, task, &walk, f);
	if (e || !task->sweep)
		return e ? e : give_task(m, f);
	while (!e && sweep_walk_next(&walk))
		e = give_task(m, f);
	return e;
}

int emit_task(struct emit *m, const struct spec_task *task, bool keeps_stdout)
{
	struct emit_inputs inputs;
	struct task_frame frame = {.name = task->name,
				   .spec = CASHET__TASK_SPEC__INIT,
				   .needs_nonce = task->options.cache != SPEC_USE};
	uint32_t options;
	arena_reset(&m->scratch);
	forget(m);
	int e = emit_inputs(m, task, &inputs);
	for (uint32_t i = 0; !e && i < task->code_count; i++)
		e = files_upload_member(task->code[i].file, m->builder, m->e);
	if (!e)
		e = give_options(m, task, keeps_stdout, &inputs, &options);
	if (!e)
		e = give_function(m, task, options, &frame.spec.function);
	if (!e)
		e = set_tail(m, &inputs, &frame);
	if (!e)
		e = set_needs(m, task, &frame);
	if (!e)
		e = give_tasks(m, task, &frame);
	buf_fini(&frame.tail);
	return e;
}
