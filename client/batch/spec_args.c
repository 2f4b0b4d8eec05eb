/* spec_args.c - see spec.h: the arguments of a call, from nodes to a tree of struct arg.
 *
 *	plain scalars, lists, maps       values, by the core schema of YAML 1.2
 *	{ref: T}  {ref: T.*, failed: skip}   what another task made
 *	{file: P}  {path: P, as: N}      a file or folder of here; a path that every worker has
 *	{stored: DIGEST, type: json}     the result of an earlier task, which is in the store
 *	{bytes: BASE64}  {float: nan}    what YAML and JSON cannot write
 *	{value: ANY}                     ANY as it stands: no key in it means anything
 *	"${p.NAME}"                      a parameter of the sweep, typed; within a longer text, as text
 */
#include "client/batch/args.h"
#include "client/batch/literal.h"
#include "client/batch/scalar.h"
#include "common/names.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"
#include "common/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 60

/* ---- what is not plain: inputs of the task, and holes */

static int new_input(struct args_reader *r, const struct node *node,
		     struct spec_member **memberp, uint32_t *numberp)
{
	struct spec_task *t = r->task;
	if (t->input_count == r->input_capacity) {
		uint32_t capacity = r->input_capacity ? 2 * r->input_capacity : 4;
		struct spec_input *inputs = spec_take(r->s, capacity, sizeof *inputs);
		if (!inputs)
			return ERR_FAILED;
		if (t->input_count)
			memcpy(inputs, t->inputs, t->input_count * sizeof *inputs);
		t->inputs = inputs;
		r->input_capacity = capacity;
	}
	struct spec_member *m = spec_take(r->s, 1, sizeof *m);
	if (!m)
		return ERR_FAILED;
	*numberp = t->input_count;
	t->inputs[t->input_count++] = (struct spec_input){
		.name = "value", .node = node, .members = m, .count = 1};
	*memberp = m;
	return 0;
}

/* add_input() - @r->what becomes its name, for messages. */
static int add_input(struct args_reader *r, const struct node *node,
		     const char *otherwise, struct spec_member **memberp,
		     uint32_t *numberp)
{
	int e = new_input(r, node, memberp, numberp);
	return e ? e : spec_read_member(r->s, node, r->what, otherwise, *memberp);
}

static int read_input(struct args_reader *r, const struct node *node, struct arg *out)
{
	struct spec_member *m;
	uint32_t number;
	int e = add_input(r, node, "file", &m, &number);
	if (e)
		return e;
	if (m->kind == MEMBER_EXTERN && r->of_sweep)
		return doc_fail(
			r->s->doc, node,
			"{path: ...} cannot be a value of a sweep: sweep over a text, or "
			"name the path in args or kwargs");
	*out = (struct arg){.type = ARG_REF, .size = number};
	if (m->kind == MEMBER_EXTERN) {
		out->content.type = CONTENT_EXTERN;
		sha256_digest(m->as, strlen(m->as), out->content.digest);
	} else if (m->kind == MEMBER_FILE) {
		out->type = ARG_FILE;
		out->data = (char *)m->file_name;
		out->size = strlen(m->file_name);
		out->content = m->item->content;
	}
	return 0;
}

/* An item of which nothing is left to upload; the broker says if it is not there. */
static int read_stored(struct args_reader *r, const struct node *node, struct arg *out)
{
	static const struct {
		const char *name;
		uint8_t type;
	} types[] = {{"file", CONTENT_FILE},
		     {"json", CONTENT_JSON},
		     {"pickle", CONTENT_PICKLE},
		     {"outputs", CONTENT_RESULT}};
	const struct node *digest = node_find(node, "stored"),
			  *type = node_find(node, "type");
	struct spec_member *m;
	uint32_t number;
	const char *hex, *name;
	size_t kind = 0;
	int e = get_text(r->s->doc, digest, "stored", &hex);
	if (!e)
		e = get_text(r->s->doc, type, "type", &name);
	if (!e)
		e = new_input(r, node, &m, &number);
	if (e)
		return e;
	if (!(m->item = spec_take(r->s, 1, sizeof *m->item)))
		return ERR_FAILED;
	m->kind = MEMBER_FILE;
	m->node = node;
	m->file_name = "value";
	m->item->uploaded = true;
	if (strlen(hex) != 2 * DIGEST_SIZE ||
	    hex_decode(m->item->content.digest, DIGEST_SIZE, hex))
		return doc_fail(r->s->doc, digest,
				"%s: a digest is 64 hexadecimal digits", r->what);
	while (kind < ARRAY_LEN(types) && strcmp(types[kind].name, name) != 0)
		kind++;
	if (kind == ARRAY_LEN(types))
		return doc_fail(r->s->doc, type,
				"%s: the type of a result is file, json, pickle or "
				"outputs",
				r->what);
	m->item->content.type = types[kind].type;
	*out = (struct arg){.type = ARG_REF, .size = number, .content = m->item->content};
	return 0;
}

static int add_hole(struct args_reader *r, const struct spec_hole *hole, struct arg *out)
{
	struct spec_call *call = r->task->call;
	if (call->hole_count == r->hole_capacity) {
		uint32_t capacity = r->hole_capacity ? 2 * r->hole_capacity : 8;
		struct spec_hole *holes = spec_take(r->s, capacity, sizeof *holes);
		if (!holes)
			return ERR_FAILED;
		if (call->hole_count)
			memcpy(holes, call->holes, call->hole_count * sizeof *holes);
		call->holes = holes;
		r->hole_capacity = capacity;
	}
	*out = (struct arg){.type = ARG_REF, .size = SPEC_HOLE | call->hole_count};
	((struct spec_hole *)call->holes)[call->hole_count++] = *hole;
	return 0;
}

/* ---- texts with ${...} */

static int fail_span(struct args_reader *r, const struct node *node,
		     const struct template_span *span)
{
	size_t size = span->end - span->start;
	const char *at = node->text + span->start;
	return doc_fail_within(
		r->s->doc, node, at, size > SHOWN ? SHOWN : size,
		"unknown %.*s: in arguments there is ${p.NAME}; a literal ${ is "
		"written $${",
		(int)(size > SHOWN ? SHOWN : size), at);
}

int args_find_axis(struct args_reader *r, const struct node *node,
		   const struct template_span *span, uint32_t *axisp)
{
	const struct sweep *sweep = r->task->sweep;
	uint32_t count = sweep ? sweep->axis_count : 0;
	for (uint32_t i = 0; i < count; i++)
		if (strlen(sweep->axes[i].name) == span->name_size &&
		    !memcmp(sweep->axes[i].name, span->name, span->name_size)) {
			*axisp = i;
			r->used[i] = true;
			return 0;
		}
	const char **names = spec_take(r->s, count, sizeof *names);
	char *name = arena_text(&r->s->doc->arena, span->name, span->name_size);
	if (!names || !name)
		return doc_no_memory(r->s->doc);
	for (uint32_t i = 0; i < count; i++)
		names[i] = sweep->axes[i].name;
	const char *near = names_suggest(name, names, count);
	size_t size = span->end - span->start;
	return doc_fail_within(r->s->doc, node, node->text + span->start, size,
			       "unknown %.*s: task \"%s\" has no parameter \"%s\" in its "
			       "sweep%s%s%s",
			       (int)(size > 100 ? 100 : size), node->text + span->start,
			       r->task->name, name, near ? "; did you mean \"" : "",
			       near ? near : "", near ? "\"?" : "");
}

static int read_template(struct args_reader *r, const struct node *node, uint32_t depth,
			 struct arg *out)
{
	struct template_scan scan;
	struct template_span span;
	struct spec_hole hole = {.node = node, .depth = depth};
	bool has_param = false;
	char *plain = spec_take(r->s, node->count + 1, 1), *to = plain;
	if (!plain)
		return ERR_FAILED;
	template_scan_init(&scan, node->text, node->count);
	while (template_next(&scan, &span)) {
		int e = 0;
		switch (span.kind) {
		case TEMPLATE_TEXT:
			to = mempcpy(to, node->text + span.start, span.end - span.start);
			break;
		case TEMPLATE_ESCAPE:
			to = mempcpy(to, "${", 2);
			break;
		case TEMPLATE_PARAM:
			has_param = true;
			if (r->of_sweep)
				return doc_fail_within(
					r->s->doc, node, node->text + span.start,
					span.end - span.start,
					"a value of a sweep cannot name a "
					"parameter; a literal ${ is written "
					"$${");
			e = args_find_axis(r, node, &span, &hole.axis);
			break;
		case TEMPLATE_INPUT:
		case TEMPLATE_INPUT_LIST:
		case TEMPLATE_OUTPUT:
		case TEMPLATE_UNKNOWN:
			return fail_span(r, node, &span);
		}
		if (e)
			return e;
	}
	if (!has_param) {
		*out = (struct arg){.type = ARG_TEXT};
		out->data = plain;
		out->size = (size_t)(to - plain);
		return 0;
	}
	if (!template_is_single(node->text, node->count, TEMPLATE_PARAM))
		hole.text = node->text;
	return add_hole(r, &hole, out);
}

/* ---- scalars */

static int read_scalar(struct args_reader *r, const struct node *node, struct arg *out)
{
	struct value v = {.type = VALUE_UINT};
	struct doc *doc = r->s->doc;
	enum scalar_kind kind = node->empty    ? SCALAR_NULL
				: node->quoted ? SCALAR_TEXT
					       : scalar_parse(node->text, &v);
	*out = (struct arg){.type = ARG_NULL};
	switch (kind) {
	case SCALAR_NULL:
		return 0;
	case SCALAR_TEXT:
		out->type = ARG_TEXT;
		out->data = (char *)node->text;
		out->size = node->count;
		return 0;
	case SCALAR_VALUE:
		if (v.type == VALUE_UINT)
			break;
		out->type = v.type == VALUE_BOOL  ? ARG_BOOL
			    : v.type == VALUE_INT ? ARG_INT
						  : ARG_FLOAT;
		if (v.type == VALUE_BOOL)
			out->boolean = v.boolean;
		else if (v.type == VALUE_INT)
			out->i = v.i;
		else
			out->d = v.d;
		return 0;
	case SCALAR_NOT_FINITE:
		return doc_fail(
			doc, node,
			"%s: %.*s is written {float: %s}; quote it to pass a text",
			r->what, SHOWN, node->text,
			strpbrk(node->text, "aA") ? "nan"
			: *node->text == '-'	  ? "-inf"
						  : "inf");
	case SCALAR_OUT_OF_RANGE:
		break;
	}
	return doc_fail(doc, node,
			"%s: %.*s does not fit: integers have 64 bits, with sign, "
			"and " SCALAR_FLOATS "; quote it to pass a text",
			r->what, SHOWN, node->text);
}

/* ---- lists and maps */

static int take_items(struct args_reader *r, const struct node *node, uint32_t depth,
		      enum arg_type type, struct arg *out)
{
	if (depth > ARG_DEPTH_MAX)
		return doc_fail(
			r->s->doc, node,
			"%s has lists and maps inside each other, %d of them at most",
			r->what, ARG_DEPTH_MAX);
	if (depth > r->deepest)
		r->deepest = depth;
	*out = (struct arg){.type = type};
	out->items = spec_take(r->s, node->count, sizeof *out->items);
	out->count = node->count;
	return out->items ? 0 : ERR_FAILED;
}

static int read_list(struct args_reader *r, const struct node *node, uint32_t depth,
		     bool as_it_stands, struct arg *out)
{
	int e = take_items(r, node, depth, ARG_LIST, out);
	for (uint32_t i = 0; !e && i < node->count; i++)
		e = args_read_value(r, &node->items[i], depth, as_it_stands,
				    &out->items[i]);
	return e;
}

static int read_pairs(struct args_reader *r, const struct node *node, uint32_t depth,
		      bool as_it_stands, struct arg *out)
{
	int e = take_items(r, node, depth, ARG_MAP, out);
	for (uint32_t i = 0; !e && i < node->count; i++) {
		const struct node_pair *pair = &node->pairs[i];
		e = args_read_value(r, &pair->value, depth, as_it_stands, &out->items[i]);
		out->items[i].name = (char *)pair->key.text;
		out->items[i].name_size = pair->key.count;
	}
	return e;
}

static int read_bytes(struct args_reader *r, const struct node *node, struct arg *out)
{
	const char *text;
	int e = get_text(r->s->doc, node, "bytes", &text);
	if (e)
		return e;
	*out = (struct arg){.type = ARG_BYTES};
	out->data = spec_take(r->s, node->count + 1, 1);
	if (!out->data)
		return ERR_FAILED;
	return literal_base64(text, (uint8_t *)out->data, &out->size)
		       ? doc_fail(r->s->doc, node, "%s: bytes are written in base64",
				  r->what)
		       : 0;
}

static int read_float(struct args_reader *r, const struct node *node, struct arg *out)
{
	const char *text;
	int e = get_text(r->s->doc, node, "float", &text);
	*out = (struct arg){.type = ARG_FLOAT};
	if (!e && literal_float(text, &out->d))
		e = doc_fail(r->s->doc, node,
			     "%s: \"%.*s\" is no float: write nan, inf, -inf, 0.1 or "
			     "0x1.8p3",
			     r->what, SHOWN, text);
	return e;
}

enum special {
	NO_SPECIAL,
	SPECIAL_INPUT,
	SPECIAL_STORED,
	SPECIAL_BYTES,
	SPECIAL_FLOAT,
	SPECIAL_VALUE
};

/* special_of() - what a map means; a slip in one that means something is an error, not a map. */
static int special_of(struct args_reader *r, const struct node *node,
		      enum special *specialp)
{
	static const struct {
		const char *key, *with; /* and may have */
		enum special special;
	} rows[] = {{"ref", "failed", SPECIAL_INPUT},
		    {"file", NULL, SPECIAL_INPUT},
		    {"bytes", NULL, SPECIAL_BYTES},
		    {"float", NULL, SPECIAL_FLOAT},
		    {"value", NULL, SPECIAL_VALUE}};
	*specialp = NO_SPECIAL;
	if (node->count == 2 && node_find(node, "path") && node_find(node, "as")) {
		*specialp = SPECIAL_INPUT;
		return 0;
	}
	if (node->count == 2 && node_find(node, "stored") && node_find(node, "type")) {
		*specialp = SPECIAL_STORED;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!node_find(node, rows[i].key))
			continue;
		*specialp = rows[i].special;
		for (uint32_t k = 0; k < node->count; k++) {
			const struct node *key = &node->pairs[k].key;
			if (!strcmp(key->text, rows[i].key) ||
			    (rows[i].with && !strcmp(key->text, rows[i].with)))
				continue;
			doc_fail(r->s->doc, key,
				 "%s: a map with \"%s\" has a meaning of its own, and no "
				 "\"%.*s\"",
				 r->what, rows[i].key, SHOWN, key->text);
			err_next(r->s->doc->e,
				 "a map that is meant as it stands is {value: {%s: ...}}",
				 rows[i].key);
			return ERR_USAGE;
		}
		return 0;
	}
	return 0;
}

static int read_map(struct args_reader *r, const struct node *node, uint32_t depth,
		    struct arg *out)
{
	enum special special;
	int e = special_of(r, node, &special);
	if (e)
		return e;
	const struct node *only = node->count ? &node->pairs[0].value : NULL;
	switch (special) {
	case SPECIAL_INPUT:
		return read_input(r, node, out);
	case SPECIAL_STORED:
		return read_stored(r, node, out);
	case SPECIAL_BYTES:
		return read_bytes(r, only, out);
	case SPECIAL_FLOAT:
		return read_float(r, only, out);
	case SPECIAL_VALUE:
		r->values--;
		return args_read_value(r, only, depth, true, out);
	case NO_SPECIAL:
		break;
	}
	return read_pairs(r, node, depth + 1, false, out);
}

int args_read_value(struct args_reader *r, const struct node *node, uint32_t depth,
		    bool as_it_stands, struct arg *out)
{
	if (++r->values > ARG_COUNT_MAX) {
		doc_fail(r->s->doc, node, "%s: a call has %u values at most", r->what,
			 ARG_COUNT_MAX);
		err_next(r->s->doc->e, "pass many values as a file: {file: ...}");
		return ERR_USAGE;
	}
	switch ((enum node_kind)node->kind) {
	case NODE_LIST:
		return read_list(r, node, depth + 1, as_it_stands, out);
	case NODE_MAP:
		return as_it_stands ? read_pairs(r, node, depth + 1, true, out)
				    : read_map(r, node, depth, out);
	case NODE_TEXT:
		break;
	}
	if (!as_it_stands && strstr(node->text, "${"))
		return read_template(r, node, depth, out);
	return read_scalar(r, node, out);
}

/* ---- all arguments */

static int read_positional(struct args_reader *r, const struct node *node)
{
	struct call_args *args = &r->task->call->args;
	int e = get_is_list(r->s->doc, node, "args");
	if (e)
		return e;
	if (!(args->positional = spec_take(r->s, node->count, sizeof *args->positional)))
		return ERR_FAILED;
	char what[64];
	for (uint32_t i = 0; !e && i < node->count; i++) {
		snprintf(what, sizeof what, "argument %u", i);
		r->what = what;
		e = args_read_value(r, &node->items[i], 0, false, &args->positional[i]);
	}
	args->positional_count = node->count;
	return e;
}

static int read_keywords(struct args_reader *r, const struct node *node)
{
	struct call_args *args = &r->task->call->args;
	int e = get_is_map(r->s->doc, node, "kwargs");
	char what[180];
	for (uint32_t i = 0; !e && i < node->count; i++) {
		const struct node *key = &node->pairs[i].key;
		struct arg *to = &args->keywords[args->keyword_count++];
		if (!key->count)
			return doc_fail(r->s->doc, key, "an argument needs a name");
		snprintf(what, sizeof what, "argument \"%.128s\"", key->text);
		r->what = what;
		e = args_read_value(r, &node->pairs[i].value, 0, false, to);
		to->name = (char *)key->text;
		to->name_size = key->count;
	}
	return e;
}

/* Parameters that stand nowhere are keywords of their name. */
static int add_parameters(struct args_reader *r, const struct node *kwargs)
{
	struct call_args *args = &r->task->call->args;
	const struct sweep *sweep = r->task->sweep;
	for (uint32_t i = 0; i < sweep->axis_count; i++) {
		const char *name = sweep->axes[i].name;
		if (r->used[i])
			continue;
		if (kwargs && node_find(kwargs, name)) {
			const struct node *key = sweep_key(r->sweep, name);
			doc_fail(r->s->doc, key ? key : r->sweep,
				 "\"%s\" is in kwargs and in the sweep", name);
			err_next(r->s->doc->e,
				 "a parameter of another name stands where an argument "
				 "is \"${p.NAME}\"");
			return ERR_USAGE;
		}
		struct spec_hole hole = {.axis = i};
		struct arg *to = &args->keywords[args->keyword_count];
		int e = add_hole(r, &hole, to);
		if (e)
			return e;
		r->values++;
		args->keyword_count++;
		to->name = (char *)name;
		to->name_size = strlen(name);
	}
	return 0;
}

/* fail_bind() - a place for what does not fit the function. */
static int fail_bind(struct args_reader *r, const struct node *args,
		     const struct node *kwargs, const struct describe_binding *b,
		     const struct err *why)
{
	const struct node *at = r->task->call->node;
	if (b->has_position && args && b->position < args->count)
		at = &args->items[b->position];
	if (b->keyword) {
		const struct node *key =
			r->sweep ? sweep_key(r->sweep, b->keyword) : NULL;
		at = key ? key : at;
		for (uint32_t i = 0; kwargs && i < kwargs->count; i++)
			if (!strcmp(kwargs->pairs[i].key.text, b->keyword))
				at = &kwargs->pairs[i].key;
	}
	doc_fail(r->s->doc, at, "%s", why->what);
	err_next(r->s->doc->e, "%s", why->next);
	return ERR_USAGE;
}

int spec_read_args(struct spec *s, const struct node *args, const struct node *kwargs,
		   const struct node *sweep, struct spec_task *task)
{
	struct spec_call *call = task->call;
	uint32_t axes = task->sweep ? task->sweep->axis_count : 0;
	struct args_reader r = {.s = s,
				.task = task,
				.sweep = sweep,
				.input_capacity = task->input_count,
				.used = spec_take(s, axes, 1)};
	uint32_t most = axes + (kwargs ? kwargs->count : 0);
	call->args.keywords = spec_take(s, most, sizeof *call->args.keywords);
	if (!r.used || !call->args.keywords)
		return ERR_FAILED;
	int e = args ? read_positional(&r, args) : 0;
	if (!e && kwargs)
		e = read_keywords(&r, kwargs);
	if (!e && sweep)
		e = add_parameters(&r, kwargs);
	if (!e)
		e = args_check_holes(&r);
	if (e)
		return e;
	struct describe_binding binding;
	struct err why = {0};
	size_t given = call->args.positional_count;
	e = describe_bind(call->function, &call->args, &s->doc->arena, &binding, &why);
	if (e == ERR_USAGE)
		return fail_bind(&r, args, kwargs, &binding, &why);
	if (e)
		return doc_no_memory(s->doc);
	return spec_set_labels(s, given, &binding, task);
}
