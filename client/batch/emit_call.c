/* emit_call.c - see emit.h: calls. The arguments of an entry are encoded once, with a reference in
 * the place of every parameter; those are cut out, and each task is the pieces with its values
 * between them. So a sweep costs what its own values cost. */
#include "client/batch/emit.h"

#include "common/template.h"

#include <stdlib.h>
#include <string.h>

#define HOLE_HEAD                                                                        \
	4 /* [3, PLACEHOLDER]: heads of array, 3 and byte string, in front of CONTENT_SIZE */

struct piece { /* constant bytes, and what stands behind them */
	const uint8_t *data;
	size_t size;
	uint32_t first_place, place_count; /* of references in it */
	const struct spec_hole *hole;	   /* NULL: nothing */
};

struct place {
	uint32_t offset; /* in its piece */
	uint32_t input;
};

struct call {
	struct emit_frame frame;
	struct emit *m;
	const struct spec_call *from;
	struct buf constant; /* encoded */
	struct piece *pieces;
	uint32_t piece_count;
	struct place *places;
	uint32_t place_count;
	size_t at;	       /* of @constant: behind the last piece */
	uint32_t contents;     /* references and files so far, in order of the bytes */
	Cashet__Ref *by_input; /* what each input refers to; offset is not set */
	Cashet__Ref *refs;     /* of the task at hand */
	struct emit_inputs inputs;
	const struct spec_task *task;
	const struct sweep_walk *walk;
	struct buf text;
};

/* ---- cutting */

static void end_piece(struct call *c, size_t end, const struct spec_hole *hole)
{
	struct piece *p = &c->pieces[c->piece_count];
	p->data = c->constant.data + c->at;
	p->size = end - c->at;
	p->hole = hole;
	p->place_count = c->place_count - p->first_place;
	c->piece_count++;
	c->pieces[c->piece_count].first_place = c->place_count;
}

/* All values of a hole have as many references and files, or there is no extern to count for. */
static uint32_t contents_of(const struct call *c, const struct spec_hole *hole)
{
	const struct sweep *s = c->task->sweep;
	const struct sweep_value *v = NULL;
	if (hole->text)
		return 0;
	if (s->method == SWEEP_LIST && s->row_count)
		v = &s->rows[hole->axis];
	else if (s->method != SWEEP_LIST && s->axes[hole->axis].kind == AXIS_VALUES)
		v = s->axes[hole->axis].values;
	return v && v->rich ? v->rich->contents : 0;
}

static void add_extern(struct call *c, const struct spec_member *member)
{
	Cashet__Extern *x = c->inputs.externs[c->inputs.extern_count++];
	cashet__extern__init(x);
	x->input = c->contents;
	x->path = (char *)member->path;
}

static int note(void *arg, const char *label, struct arg *a)
{
	struct call *c = arg;
	(void)label;
	if (a->type == ARG_REF && a->size & SPEC_HOLE) {
		const struct spec_hole *hole = &c->from->holes[a->size & ~SPEC_HOLE];
		end_piece(c, a->offset - HOLE_HEAD, hole);
		c->at = a->offset + CONTENT_SIZE;
		c->contents += contents_of(c, hole);
		return 0;
	}
	if (a->type == ARG_REF) {
		const struct spec_member *member = c->task->inputs[a->size].members;
		if (member->kind == MEMBER_REF)
			c->places[c->place_count++] = (struct place){
				(uint32_t)(a->offset - c->at), (uint32_t)a->size};
		else if (member->kind == MEMBER_EXTERN)
			add_extern(c, member); /* else it is in the store already */
	}
	c->contents++;
	return 0;
}

static int encode(struct call *c)
{
	struct emit *m = c->m;
	const struct spec_task *task = c->task;
	struct call_args *args = &task->call->args;
	if (call_args_encode(&c->constant, args))
		return err_set(m->e, ERR_USAGE,
			       "the call of task \"%s\" has a name twice, in its "
			       "arguments or in a map, or more than %u values",
			       task->name, ARG_COUNT_MAX);
	if (c->constant.failed)
		return source_no_memory(m->e);
	Cashet__Extern *externs = emit_take(m, task->input_count, sizeof *externs);
	c->inputs.externs = emit_take(m, task->input_count, sizeof *c->inputs.externs);
	c->pieces = emit_take(m, c->from->hole_count + 2, sizeof *c->pieces);
	c->places = emit_take(m, task->input_count, sizeof *c->places);
	if (!externs || !c->inputs.externs || !c->pieces || !c->places)
		return ERR_FAILED;
	for (uint32_t i = 0; i < task->input_count; i++)
		c->inputs.externs[i] = &externs[i];
	call_args_each(args, note, c);
	end_piece(c, c->constant.size, NULL);
	return 0;
}

/* ---- filling in */

static void add_ref(struct call *c, uint32_t input, size_t offset)
{
	Cashet__Ref *ref = &c->refs[c->frame.spec.n_refs];
	*ref = c->by_input[input];
	ref->offset = (uint32_t)offset;
	c->frame.spec.refs[c->frame.spec.n_refs++] = ref;
}

static uint32_t axis_of(const struct sweep *s, const struct template_span *span)
{
	uint32_t i = 0;
	while (strlen(s->axes[i].name) != span->name_size ||
	       memcmp(s->axes[i].name, span->name, span->name_size))
		i++;
	return i;
}

static void add_text(struct call *c, const char *text)
{
	struct template_scan scan;
	struct template_span span;
	buf_reset(&c->text);
	template_scan_init(&scan, text, strlen(text));
	while (template_next(&scan, &span)) {
		if (span.kind == TEMPLATE_ESCAPE)
			buf_add_str(&c->text, "${");
		else if (span.kind == TEMPLATE_PARAM)
			value_format(
				&c->text,
				&c->walk->values[axis_of(c->task->sweep, &span)].value);
		else
			buf_add(&c->text, text + span.start, span.end - span.start);
	}
	cbor_add_text_n(&c->m->args, (const char *)c->text.data, c->text.size);
	c->m->args.failed |= c->text.failed;
}

static void add_value(struct call *c, const struct spec_hole *hole)
{
	struct buf *out = &c->m->args;
	const struct sweep_value *v = &c->walk->values[hole->axis];
	if (hole->text) {
		add_text(c, hole->text);
		return;
	}
	if (!v->rich) {
		value_encode(out, &v->value);
		return;
	}
	for (uint32_t i = 0; i < v->rich->ref_count; i++)
		add_ref(c, v->rich->refs[i].input, out->size + v->rich->refs[i].offset);
	buf_add(out, v->rich->bytes, v->rich->size);
}

static int give_call(struct call *c)
{
	struct buf *out = &c->m->args;
	buf_reset(out);
	c->frame.spec.n_refs = 0;
	for (uint32_t i = 0; i < c->piece_count; i++) {
		const struct piece *p = &c->pieces[i];
		for (uint32_t k = p->first_place; k < p->first_place + p->place_count;
		     k++)
			add_ref(c, c->places[k].input, out->size + c->places[k].offset);
		buf_add(out, p->data, p->size);
		if (p->hole)
			add_value(c, p->hole);
	}
	return emit_give(c->m, &c->frame);
}

static int give_calls(struct call *c)
{
	struct sweep_walk walk = {0};
	struct emit *m = c->m;
	size_t most = (size_t)c->place_count + c->from->hole_refs;
	c->refs = emit_take(m, most, sizeof *c->refs);
	c->frame.spec.refs = emit_take(m, most, sizeof *c->frame.spec.refs);
	if (!c->refs || !c->frame.spec.refs)
		return ERR_FAILED;
	if (!c->task->sweep)
		return give_call(c);
	if (sweep_walk_init(&walk, c->task->sweep, &m->scratch))
		return source_no_memory(m->e);
	c->walk = &walk;
	int e = 0;
	while (!e && sweep_walk_next(&walk))
		e = give_call(c);
	return e;
}

int emit_call(struct emit *m, const struct spec_task *task, bool keeps_stdout)
{
	struct call c = {
		.frame = emit_frame_of(task), .m = m, .from = task->call, .task = task};
	int e = emit_contents(m, task, &c.by_input);
	if (!e)
		e = encode(&c);
	if (!e)
		e = emit_shared(m, keeps_stdout, &c.inputs, &c.frame);
	if (!e)
		e = give_calls(&c);
	buf_fini(&c.constant);
	buf_fini(&c.text);
	return e;
}
