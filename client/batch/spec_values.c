/* spec_values.c - see args.h: values of a sweep that are more than plain ones, and whether a call can
 * have them where its parameters stand. Such a value may be in many tasks: it is encoded once. */
#include "client/batch/args.h"
#include "common/template.h"

#include <stdio.h>
#include <string.h>

#define CALL_HEAD                                                                        \
	3 /* bytes of [2, [VALUE], {}] in front of the value; one is behind it */

/* ---- values of sweeps */

struct rich_scan {
	struct sweep_rich *rich;
	uint32_t capacity;
};

static int note_content(void *arg, const char *label, struct arg *value)
{
	struct rich_scan *scan = arg;
	(void)label;
	scan->rich->contents++;
	if (value->type == ARG_REF && scan->rich->refs)
		scan->rich->refs[scan->rich->ref_count++] = (struct rich_ref){
			(uint32_t)(value->offset - CALL_HEAD), (uint32_t)value->size};
	return 0;
}

static int encode_rich(struct spec *s, struct sweep_rich *rich)
{
	CLEANUP_BUF struct buf out = {0};
	struct call_args call = {.positional = (struct arg *)rich->arg,
				 .positional_count = 1};
	if (call_args_encode(&out, &call) || out.failed)
		return doc_no_memory(s->doc);
	struct rich_scan scan = {.rich = rich};
	call_args_each(&call, note_content, &scan); /* only counts */
	rich->refs = spec_take(s, rich->contents, sizeof *rich->refs);
	if (!rich->refs)
		return ERR_FAILED;
	rich->contents = 0;
	call_args_each(&call, note_content, &scan);
	rich->size = (uint32_t)out.size - CALL_HEAD - 1;
	rich->bytes = (const uint8_t *)arena_text(
		&s->doc->arena, (const char *)out.data + CALL_HEAD, rich->size);
	return rich->bytes ? 0 : doc_no_memory(s->doc);
}

static bool is_plain(const struct arg *a, struct value *v)
{
	switch (a->type) {
	case ARG_BOOL:
		*v = (struct value){.type = VALUE_BOOL, .boolean = a->boolean};
		return true;
	case ARG_INT:
		*v = (struct value){.type = VALUE_INT, .i = a->i};
		return true;
	case ARG_FLOAT:
		*v = (struct value){.type = VALUE_DOUBLE, .d = a->d};
		return true;
	case ARG_TEXT:
		*v = (struct value){.type = VALUE_STRING, .text = a->data};
		return true;
	case ARG_NULL:
	case ARG_BYTES:
	case ARG_LIST:
	case ARG_MAP:
	case ARG_REF:
	case ARG_FILE:
		break;
	}
	return false;
}

static int read_of_sweep(void *arg, const struct node *node, const char *parameter,
			 struct sweep_value *value)
{
	struct args_reader *r = arg;
	char what[180];
	struct arg a;
	snprintf(what, sizeof what, "parameter \"%s\"", parameter);
	r->what = what;
	r->values = r->deepest = 0;
	int e = args_read_value(r, node, 0, false, &a);
	if (e || is_plain(&a, &value->value))
		return e;
	struct sweep_rich *rich = spec_take(r->s, 1, sizeof *rich);
	struct arg *kept = spec_take(r->s, 1, sizeof *kept);
	if (!rich || !kept)
		return ERR_FAILED;
	*kept = a;
	*rich = (struct sweep_rich){
		.node = node, .arg = kept, .depth = r->deepest, .values = r->values};
	value->rich = rich;
	return encode_rich(r->s, rich);
}

/* By their bytes: a reference is what it names. */
static bool equal_rich(const struct sweep_rich *a, const struct sweep_rich *b)
{
	if (a->size != b->size || memcmp(a->bytes, b->bytes, a->size) ||
	    a->ref_count != b->ref_count)
		return false;
	return !a->ref_count;
}

/* ---- what holes and the values in them come to together */

struct value_scan {
	const struct sweep *sweep;
	uint32_t axis;
	uint64_t at;
};

/* next_of_axis() - every value that an axis can have, intervals left out: those are plain. */
static const struct sweep_value *next_of_axis(struct value_scan *scan)
{
	const struct sweep *s = scan->sweep;
	const struct axis *axis = &s->axes[scan->axis];
	uint64_t own = s->method == SWEEP_LIST	   ? s->row_count
		       : axis->kind == AXIS_VALUES ? axis->count
						   : 0;
	uint64_t at = scan->at++;
	if (at < own)
		return s->method == SWEEP_LIST ? &s->rows[at * s->axis_count + scan->axis]
					       : &axis->values[at];
	at -= own;
	return at < s->include_count ? &s->includes[at * s->axis_count + scan->axis]
				     : NULL;
}

static const struct node *node_of(const struct args_reader *r,
				  const struct spec_hole *hole, uint32_t axis)
{
	const struct node *key =
		hole->node ? hole->node
			   : sweep_key(r->sweep, r->task->sweep->axes[axis].name);
	return key ? key : r->sweep;
}

static int check_text_hole(struct args_reader *r, const struct spec_hole *hole)
{
	struct template_scan scan;
	struct template_span span;
	const struct sweep *sweep = r->task->sweep;
	template_scan_init(&scan, hole->text, strlen(hole->text));
	while (template_next(&scan, &span)) {
		struct value_scan values = {.sweep = sweep};
		if (span.kind != TEMPLATE_PARAM)
			continue;
		int e = args_find_axis(r, hole->node, &span, &values.axis);
		if (e)
			return e;
		const struct sweep_value *v;
		while ((v = next_of_axis(&values)))
			if (v->rich)
				return doc_fail(
					r->s->doc, v->rich->node,
					"parameter \"%s\" stands inside of a text, "
					"where only numbers, texts, true and false "
					"can be written",
					sweep->axes[values.axis].name);
	}
	return 0;
}

static int check_value_hole(struct args_reader *r, const struct spec_hole *hole,
			    bool has_extern, uint64_t *valuesp)
{
	struct value_scan scan = {.sweep = r->task->sweep, .axis = hole->axis};
	const struct sweep_value *v;
	uint32_t most = 1, refs = 0;
	bool first = true;
	uint32_t contents = 0;
	while ((v = next_of_axis(&scan))) {
		uint32_t has = v->rich ? v->rich->contents : 0;
		if (v->rich && hole->depth + v->rich->depth > ARG_DEPTH_MAX)
			return doc_fail(
				r->s->doc, v->rich->node,
				"with this value lists and maps are nested more than %d "
				"deep",
				ARG_DEPTH_MAX);
		if (v->rich && v->rich->values > most)
			most = v->rich->values;
		if (v->rich && v->rich->ref_count > refs)
			refs = v->rich->ref_count;
		if (has_extern && !first && has != contents)
			return doc_fail(
				r->s->doc, node_of(r, hole, hole->axis),
				"beside {path: ..., as: ...} in a call, all values of "
				"\"%s\" need the same number of references and files",
				r->task->sweep->axes[hole->axis].name);
		contents = has;
		first = false;
	}
	*valuesp += most - 1;
	r->task->call->hole_refs += refs;
	return 0;
}

int args_check_holes(struct args_reader *r)
{
	const struct spec_task *t = r->task;
	bool has_extern = false;
	uint64_t values = r->values;
	for (uint32_t i = 0; i < t->input_count; i++)
		has_extern |= t->inputs[i].members->kind == MEMBER_EXTERN;
	for (uint32_t i = 0; i < t->call->hole_count; i++) {
		const struct spec_hole *hole = &t->call->holes[i];
		int e = hole->text ? check_text_hole(r, hole)
				   : check_value_hole(r, hole, has_extern, &values);
		if (e)
			return e;
	}
	return values <= ARG_COUNT_MAX ? 0
				       : doc_fail(r->s->doc, r->sweep,
						  "with the values of the sweep a call "
						  "has more than %u values",
						  ARG_COUNT_MAX);
}

/* ---- the sweep */

int spec_read_sweep_of_call(struct spec *s, const struct node *node,
			    struct spec_task *task)
{
	struct args_reader *r = spec_take(s, 1, sizeof *r);
	struct sweep_reader *reader = spec_take(s, 1, sizeof *reader);
	if (!r || !reader)
		return ERR_FAILED;
	*r = (struct args_reader){.s = s,
				  .task = task,
				  .of_sweep = true,
				  .input_capacity = task->input_count};
	*reader = (struct sweep_reader){r, read_of_sweep, equal_rich};
	return sweep_parse(s->doc, node, task->name, reader, &task->sweep);
}
