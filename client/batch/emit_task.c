/* emit_task.c - see emit.h: an entry of a batch file, and what its tasks have in common. */
#include "client/batch/emit.h"

#include "common/rand.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_HEAD 3 /* bytes of [1, []] before the inputs: heads of both arrays, and 1 */

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

static int set_needs(struct emit *m, const struct spec_task *task, struct emit_frame *f)
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

static int args_too_large(struct emit *m, const struct emit_frame *f)
{
	err_set(m->e, ERR_USAGE,
		"the arguments of task \"%s\" take %zu bytes; the limit is %u MiB",
		f->task->name, m->args.size, ARGS_SIZE_MAX >> 20);
	err_next(m->e,
		 "pass long texts as files, and many files as a folder or as the output "
		 "of a task");
	return ERR_USAGE;
}

int emit_give(struct emit *m, struct emit_frame *f)
{
	if (m->args.failed)
		return source_no_memory(m->e);
	if (m->args.size > ARGS_SIZE_MAX)
		return args_too_large(m, f);
	f->spec.args = (ProtobufCBinaryData){m->args.size, m->args.data};
	if (f->needs_nonce) {
		draw_nonce(m, f->nonce);
		f->spec.nonce = (ProtobufCBinaryData){NONCE_SIZE, f->nonce};
	}
	return builder_add_task(m->builder, &f->spec, NULL, m->e);
}

/* ---- commands */

struct parameter {
	const char *name;
	const struct value *value;
};

struct command { /* what the tasks of one entry share */
	struct emit_frame frame;
	struct parameter *parameters; /* sorted by name */
	uint32_t parameter_count;
	struct buf tail;      /* the arguments behind the values */
	uint32_t *ref_places; /* of each reference's placeholder in it */
};

static int by_name(const void *a, const void *b)
{
	const struct parameter *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int set_parameters(struct emit *m, const struct spec_task *task,
			  const struct sweep_walk *walk, struct command *c)
{
	uint32_t axes = task->sweep ? task->sweep->axis_count : 0,
		 count = task->param_count + axes;
	c->parameter_count = count;
	if (!(c->parameters = emit_take(m, count, sizeof *c->parameters)))
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->param_count; i++)
		c->parameters[i] =
			(struct parameter){task->params[i].name, &task->params[i].value};
	for (uint32_t i = 0; i < axes; i++)
		c->parameters[task->param_count + i] = (struct parameter){
			task->sweep->axes[i].name, &walk->values[i].value};
	if (count > 1)
		qsort(c->parameters, count, sizeof *c->parameters, by_name);
	return 0;
}

/* set_tail() - encode the inputs once; values, whose sizes vary, only move them. */
static int set_tail(struct emit *m, struct emit_inputs *inputs, struct command *c)
{
	args_encode(&c->tail, &inputs->args);
	c->ref_places = emit_take(m, inputs->ref_count, sizeof *c->ref_places);
	if (c->tail.failed)
		return source_no_memory(m->e);
	if (!c->ref_places)
		return ERR_FAILED;
	assert(c->tail.size > ARGS_HEAD);
	for (uint32_t i = 0; i < inputs->ref_count; i++)
		c->ref_places[i] =
			(uint32_t)(inputs->args.inputs[inputs->refs[i]->offset].offset -
				   ARGS_HEAD);
	c->frame.spec.refs = inputs->refs;
	c->frame.spec.n_refs = inputs->ref_count;
	return 0;
}

static int give_command(struct emit *m, struct command *c)
{
	struct buf *args = &m->args;
	buf_reset(args);
	cbor_add_array(args, 3);
	cbor_add_uint(args, 1);
	cbor_add_array(args, c->parameter_count);
	for (uint32_t i = 0; i < c->parameter_count; i++)
		value_encode(args, c->parameters[i].value);
	for (size_t i = 0; i < c->frame.spec.n_refs; i++)
		c->frame.spec.refs[i]->offset = (uint32_t)args->size + c->ref_places[i];
	buf_add(args, c->tail.data + ARGS_HEAD, c->tail.size - ARGS_HEAD);
	return emit_give(m, &c->frame);
}

static int give_commands(struct emit *m, const struct spec_task *task, struct command *c)
{
	struct sweep_walk walk = {0};
	if (task->sweep && sweep_walk_init(&walk, task->sweep, &m->scratch))
		return source_no_memory(m->e);
	int e = set_parameters(m, task, &walk, c);
	if (e || !task->sweep)
		return e ? e : give_command(m, c);
	while (!e && sweep_walk_next(&walk))
		e = give_command(m, c);
	return e;
}

/* ---- both */

/* Files that a task's function is made of. */
static int upload_code(struct emit *m, const struct spec_task *task)
{
	int e = 0;
	for (uint32_t i = 0; !e && i < task->code_count; i++)
		e = files_upload_member(task->code[i].file, m->builder, m->e);
	if (!e && task->shipped)
		e = shipped_upload(task->shipped, m->builder, m->e);
	return e;
}

int emit_shared(struct emit *m, bool keeps_stdout, const struct emit_inputs *inputs,
		struct emit_frame *f)
{
	uint32_t options;
	int e = upload_code(m, f->task);
	if (!e)
		e = emit_options(m, f->task, keeps_stdout, inputs, &options);
	if (!e)
		e = emit_function(m, f->task, options, &f->spec.function);
	return e ? e : set_needs(m, f->task, f);
}

static int emit_command(struct emit *m, const struct spec_task *task, bool keeps_stdout)
{
	struct emit_inputs inputs;
	struct command c = {.frame = emit_frame_of(task)};
	int e = emit_inputs(m, task, &inputs);
	if (!e)
		e = emit_shared(m, keeps_stdout, &inputs, &c.frame);
	if (!e)
		e = set_tail(m, &inputs, &c);
	if (!e)
		e = give_commands(m, task, &c);
	buf_fini(&c.tail);
	return e;
}

int emit_task(struct emit *m, const struct spec_task *task, bool keeps_stdout)
{
	arena_reset(&m->scratch);
	emit_forget(m);
	return task->call ? emit_call(m, task, keeps_stdout)
			  : emit_command(m, task, keeps_stdout);
}
