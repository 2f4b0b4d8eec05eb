/* compare.c - see compare.h. One walk over both sides serves counting and writing: each component goes
 * through compare_report(), in an order that reads well: what is run, then with what. */
#include "broker/history/compare_walk.h"

#include "common/num.h"
#include "proto/pb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_text(struct buf *out, unsigned field, const char *text, size_t size)
{
	static const char cut[] = "...";
	if (size <= COMPARE_TEXT_MAX) {
		pb_bytes(out, field, text, size);
		return;
	}
	size = COMPARE_TEXT_MAX;
	while (size && ((uint8_t)text[size] & 0xc0) == 0x80)
		size--; /* not within a character */
	pb_tag(out, field, PB_BYTES);
	pb_varint(out, size + strlen(cut));
	buf_add(out, text, size);
	buf_add_str(out, cut);
}

static void put_content(struct buf *out, unsigned field, const struct content *c)
{
	if (!c)
		return;
	size_t mark = pb_open(out, field);
	pb_uint(out, 1, c->type);
	pb_bytes(out, 2, c->digest, DIGEST_SIZE);
	pb_close(out, mark);
}

/* What people take for the same task has the same parameters; a function may have changed in one
 * place or in many. */
static void weigh(struct walk *w, Cashet__Change__What what)
{
	if (what == CASHET__CHANGE__WHAT__PARAM)
		w->differing += 3;
	else if (what == CASHET__CHANGE__WHAT__INPUT)
		w->differing++;
	else if (w->function++ < 2)
		w->differing++;
}

void compare_report(struct walk *w, const struct component *c)
{
	bool same = c->has_old && c->has_now && c->same;
	if (!same)
		weigh(w, c->what);
	const struct compare_sink *sink = w->sink;
	/* A source tells what is in code that changed. */
	bool wanted = !same || c->what == CASHET__CHANGE__WHAT__SOURCE;
	if (!sink || (sink->only_changed && !wanted) || (!c->has_old && !c->has_now))
		return;
	struct buf *out = sink->out;
	size_t mark = pb_open(out, sink->field);
	pb_uint(out, 1, c->what);
	pb_text(out, 2, c->name);
	pb_uint(out, 3,
		same	      ? CASHET__CHANGE__HOW__SAME
		: !c->has_old ? CASHET__CHANGE__HOW__ADDED
		: !c->has_now ? CASHET__CHANGE__HOW__REMOVED
			      : CASHET__CHANGE__HOW__CHANGED);
	if (c->has_old && c->old)
		put_text(out, 4, c->old, c->old_size);
	if (c->has_now && c->now)
		put_text(out, 5, c->now, c->now_size);
	put_content(out, 6, c->has_old ? c->old_content : NULL);
	put_content(out, 7, c->has_now ? c->now_content : NULL);
	if (c->what == CASHET__CHANGE__WHAT__INPUT && c->has_now && sink->input)
		sink->input(sink->arg, out, c->input);
	pb_close(out, mark);
}

void compare_text(struct walk *w, Cashet__Change__What what, const char *name,
		  const char *old, const char *now)
{
	struct component c = {.what = what,
			      .name = name,
			      .has_old = old,
			      .has_now = now,
			      .same = old && now && !strcmp(old, now),
			      .old = old,
			      .now = now,
			      .old_size = old ? strlen(old) : 0,
			      .now_size = now ? strlen(now) : 0};
	if (old || now)
		compare_report(w, &c);
}

/* ---- the function ---- */

/* As a shell would take it; only for people. */
static void quote(struct buf *out, const char *text)
{
	if (*text &&
	    !text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "0123456789_-+=./,:@%${}")]) {
		buf_add_str(out, text);
		return;
	}
	buf_add_byte(out, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			buf_add_str(out, "'\\''");
		else
			buf_add_byte(out, (uint8_t)*text);
	}
	buf_add_byte(out, '\'');
}

static const char *command(struct buf *out, const struct function *f)
{
	if (f->shell)
		return f->shell;
	if (function_is_call(f))
		buf_printf(out, "a call of a function in %s", f->language);
	for (size_t i = 0; i < f->argc; i++) {
		if (i)
			buf_add_byte(out, ' ');
		quote(out, f->argv[i]);
	}
	return buf_cstr(out);
}

static bool same_command(const struct function *old, const struct function *now)
{
	if (!old->shell != !now->shell || old->argc != now->argc || old->language ||
	    now->language)
		return false;
	if (old->shell)
		return !strcmp(old->shell, now->shell);
	for (size_t i = 0; i < old->argc; i++)
		if (strcmp(old->argv[i], now->argv[i]))
			return false;
	return true;
}

static void walk_command(struct walk *w, const struct function *old,
			 const struct function *now)
{
	CLEANUP_BUF struct buf was = {0}, is = {0};
	struct component c = {.what = CASHET__CHANGE__WHAT__COMMAND,
			      .has_old = true,
			      .has_now = true,
			      .same = same_command(old, now)};
	/* One item of many: say which. */
	if (!c.same && old->argc && old->argc == now->argc) {
		for (size_t i = 0; i < old->argc; i++) {
			char name[32];
			if (!strcmp(old->argv[i], now->argv[i]))
				continue;
			snprintf(name, sizeof name, "argv[%zu]", i);
			compare_text(w, c.what, name, old->argv[i], now->argv[i]);
		}
		return;
	}
	if (w->sink) {
		c.old = command(&was, old);
		c.now = command(&is, now);
		c.old_size = strlen(c.old);
		c.now_size = strlen(c.now);
	}
	compare_report(w, &c);
}

/* Both sorted by name. */
static void walk_pairs(struct walk *w, Cashet__Change__What what,
		       const struct function_pair *old, size_t old_count,
		       const struct function_pair *now, size_t now_count)
{
	for (size_t i = 0, k = 0;
	     (i < old_count || k < now_count) && !compare_enough(w);) {
		int order = i == old_count   ? 1
			    : k == now_count ? -1
					     : strcmp(old[i].name, now[k].name);
		compare_text(w, what, order <= 0 ? old[i].name : now[k].name,
			     order <= 0 ? old[i].value : NULL,
			     order >= 0 ? now[k].value : NULL);
		i += order <= 0;
		k += order >= 0;
	}
}

/* Only a digest of bytes is that of a blob. Return: how it is hashed, "" for bytes. */
static const char *code_content(struct content *to, const struct function_code *code,
				size_t *sizep)
{
	static const char *const schemes[] = {"", "", "python", "c"};
	const char *scheme =
		code->scheme < ARRAY_LEN(schemes) ? schemes[code->scheme] : "";
	to->type = code->scheme > CODE_BYTES ? CONTENT_NONE
		   : code->executable	     ? CONTENT_EXEC
					     : CONTENT_FILE;
	memcpy(to->digest, code->digest, DIGEST_SIZE);
	*sizep = strlen(scheme);
	return scheme;
}

static void walk_code(struct walk *w, const struct function *old,
		      const struct function *now)
{
	for (size_t i = 0, k = 0;
	     (i < old->code_count || k < now->code_count) && !compare_enough(w);) {
		const struct function_code *a = i < old->code_count ? &old->code[i]
								    : NULL,
					   *b = k < now->code_count ? &now->code[k]
								    : NULL;
		int order = !a ? 1 : !b ? -1 : strcmp(a->path, b->path);
		struct content was = {.type = CONTENT_FILE}, is = was;
		struct component c = {.what = CASHET__CHANGE__WHAT__CODE,
				      .name = order <= 0 ? a->path : b->path,
				      .has_old = order <= 0,
				      .has_now = order >= 0,
				      .old_content = &was,
				      .now_content = &is};
		if (c.has_old)
			c.old = code_content(&was, a, &c.old_size);
		if (c.has_now)
			c.now = code_content(&is, b, &c.now_size);
		c.same = !memcmp(&was, &is, sizeof was) && a->scheme == b->scheme &&
			 a->executable == b->executable;
		compare_report(w, &c);
		i += order <= 0;
		k += order >= 0;
	}
}

static const struct content *source_content(struct content *to, const uint8_t *source)
{
	*to = (struct content){.type = CONTENT_FILE};
	if (source)
		memcpy(to->digest, source, DIGEST_SIZE);
	return source ? to : NULL;
}

/* What code it is. Of a call its identity says whether that changed, of a command its CODE. */
static void walk_source(struct walk *w, const struct compare_side *old,
			const struct compare_side *now)
{
	const struct function *a = old->function, *b = now->function;
	struct content was, is;
	bool calls = function_is_call(a);
	struct component c = {.what = CASHET__CHANGE__WHAT__SOURCE,
			      .name = "",
			      .has_old = calls || function_has_source(a),
			      .has_now = calls || function_has_source(b),
			      .same = !calls ||
				      !memcmp(a->identity, b->identity, DIGEST_SIZE),
			      .old_content = source_content(&was, old->source),
			      .now_content = source_content(&is, now->source)};
	if (c.has_old && c.has_now && (calls || w->sink))
		compare_report(w, &c);
}

static void walk_function(struct walk *w, const struct compare_side *old,
			  const struct compare_side *now)
{
	const struct function *a = old->function, *b = now->function;
	if (a && b) {
		bool calls = function_is_call(a) && function_is_call(b);
		if (!calls || strcmp(a->language, b->language) != 0)
			walk_command(w, a, b);
		if (function_is_call(a) == function_is_call(b))
			walk_source(w, old, now);
		compare_text(w, CASHET__CHANGE__WHAT__INTERPRETER, "", a->version,
			     b->version);
		walk_code(w, a, b);
		walk_pairs(w, CASHET__CHANGE__WHAT__ENV, a->env, a->env_count, b->env,
			   b->env_count);
		walk_pairs(w, CASHET__CHANGE__WHAT__OUTPUT, a->outputs, a->output_count,
			   b->outputs, b->output_count);
		compare_text(w, CASHET__CHANGE__WHAT__METRICS, "", a->metrics,
			     b->metrics);
		compare_text(w, CASHET__CHANGE__WHAT__SALT, "", a->salt, b->salt);
		return;
	}
	/* Of a later version, or gone from the store: all that can be said is whether it is the same. */
	struct component c = {
		.what = CASHET__CHANGE__WHAT__VERSION,
		.name = "description",
		.has_old = true,
		.has_now = true,
		.same = !memcmp(old->func_hash, now->func_hash, DIGEST_SIZE)};
	compare_report(w, &c);
}

/* ---- the arguments ---- */

/* 1 and "1" are two values: only where they would look alike a text is quoted. */
static void format_values(const struct value *old, struct buf *was,
			  const struct value *now, struct buf *is)
{
	if (old)
		value_format(was, old);
	if (now)
		value_format(is, now);
	if (!old || !now || (old->type == VALUE_STRING) == (now->type == VALUE_STRING) ||
	    strcmp(buf_cstr(was), buf_cstr(is)) != 0)
		return;
	struct buf *text = old->type == VALUE_STRING ? was : is;
	buf_reset(text);
	buf_printf(text, "\"%s\"", old->type == VALUE_STRING ? old->text : now->text);
}

static void walk_params(struct walk *w, const struct compare_side *old,
			const struct compare_side *now)
{
	const struct function *a = old->function, *b = now->function;
	size_t a_count = a->param_count < old->args->value_count ? a->param_count
								 : old->args->value_count;
	size_t b_count = b->param_count < now->args->value_count ? b->param_count
								 : now->args->value_count;
	CLEANUP_BUF struct buf was = {0}, is = {0};
	for (size_t i = 0, k = 0; (i < a_count || k < b_count) && !compare_enough(w);) {
		int order = i == a_count   ? 1
			    : k == b_count ? -1
					   : strcmp(a->params[i], b->params[k]);
		struct component c = {.what = CASHET__CHANGE__WHAT__PARAM,
				      .name = order <= 0 ? a->params[i] : b->params[k],
				      .has_old = order <= 0,
				      .has_now = order >= 0};
		c.same = order == 0 &&
			 value_equal(&old->args->values[i], &now->args->values[k]);
		if (w->sink) {
			buf_reset(&was);
			buf_reset(&is);
			format_values(c.has_old ? &old->args->values[i] : NULL, &was,
				      c.has_now ? &now->args->values[k] : NULL, &is);
			c.old = buf_cstr(&was);
			c.now = buf_cstr(&is);
			c.old_size = was.size;
			c.now_size = is.size;
		}
		compare_report(w, &c);
		i += order <= 0;
		k += order >= 0;
	}
}

static bool same_names(const struct args_input *a, const struct args_input *b)
{
	if (a->name_count != b->name_count || a->name_is_array != b->name_is_array)
		return false;
	for (size_t i = 0; i < a->name_count; i++)
		if (strcmp(a->names[i], b->names[i]))
			return false;
	return true;
}

/* Names of the files: they are part of what a task sees. */
static void name_files(struct buf *out, const struct args_input *input)
{
	for (size_t i = 0; i < input->name_count && out->size < 1024; i++)
		buf_printf(out, "%s%s", i ? " " : "", input->names[i]);
}

static void walk_inputs(struct walk *w, const struct compare_side *old,
			const struct compare_side *now)
{
	const struct function *a = old->function, *b = now->function;
	size_t a_count = a->input_count < old->args->input_count ? a->input_count
								 : old->args->input_count;
	size_t b_count = b->input_count < now->args->input_count ? b->input_count
								 : now->args->input_count;
	CLEANUP_BUF struct buf was = {0}, is = {0};
	for (size_t i = 0, k = 0; (i < a_count || k < b_count) && !compare_enough(w);) {
		int order = i == a_count   ? 1
			    : k == b_count ? -1
					   : strcmp(a->inputs[i], b->inputs[k]);
		const struct args_input *x = order <= 0 ? &old->args->inputs[i] : NULL,
					*y = order >= 0 ? &now->args->inputs[k] : NULL;
		struct component c = {.what = CASHET__CHANGE__WHAT__INPUT,
				      .name = x ? a->inputs[i] : b->inputs[k],
				      .has_old = x,
				      .has_now = y,
				      .old_content = x ? &x->content : NULL,
				      .now_content = y ? &y->content : NULL,
				      .input = k};
		c.same = x && y && !memcmp(&x->content, &y->content, CONTENT_SIZE) &&
			 same_names(x, y);
		if (w->sink) {
			buf_reset(&was);
			buf_reset(&is);
			if (x)
				name_files(&was, x);
			if (y)
				name_files(&is, y);
			c.old = buf_cstr(&was);
			c.now = buf_cstr(&is);
			c.old_size = was.size;
			c.now_size = is.size;
		}
		compare_report(w, &c);
		i += order <= 0;
		k += order >= 0;
	}
}

/* Without their names, the arguments are the same or not. */
static void walk_opaque(struct walk *w, const struct compare_side *old,
			const struct compare_side *now)
{
	struct component c = {
		.what = CASHET__CHANGE__WHAT__VERSION,
		.name = "arguments",
		.has_old = true,
		.has_now = true,
		.same = !memcmp(old->args_hash, now->args_hash, DIGEST_SIZE)};
	compare_report(w, &c);
}

static void walk_all(struct walk *w, const struct compare_side *old,
		     const struct compare_side *now)
{
	walk_function(w, old, now);
	if (!old->args || !now->args || !old->function || !now->function ||
	    !old->args->call != !now->args->call) {
		walk_opaque(w, old, now);
		return;
	}
	if (now->args->call) {
		compare_call_args(w, old, now);
		return;
	}
	if (!compare_enough(w))
		walk_inputs(w, old, now);
	if (!compare_enough(w))
		walk_params(w, old, now);
}

unsigned compare_distance(const struct compare_side *old, const struct compare_side *now,
			  unsigned limit)
{
	struct walk w = {.limit = limit};
	walk_all(&w, old, now);
	return w.differing;
}

void compare_write(const struct compare_sink *sink, const struct compare_side *old,
		   const struct compare_side *now)
{
	struct walk w = {.sink = sink, .limit = UINT32_MAX};
	walk_all(&w, old, now);
}

/* ---- what is not part of it ---- */

static void add_resources(struct buf *out, const Cashet__Options *o)
{
	for (size_t i = 0; i < o->n_resources; i++) {
		const Cashet__Resource *r = o->resources[i];
		buf_printf(out, "%s%s ", i ? ", " : "", r->name);
		if (!strcmp(r->name, "memory"))
			num_add_size(out, r->milli);
		else
			buf_printf(out, "%g", (double)r->milli / 1000);
	}
}

static void add_secrets(struct buf *out, const Cashet__Options *o)
{
	for (size_t i = 0; i < o->n_secrets; i++)
		buf_printf(out, "%s%s", i ? ", " : "", o->secrets[i]);
	if (!o->n_secrets)
		buf_add_str(out, "none");
}

static void report_number(struct walk *w, const char *name, uint64_t old, uint64_t now,
			  bool is_duration)
{
	CLEANUP_BUF struct buf was = {0}, is = {0};
	if (old == now)
		return;
	for (int i = 0; i < 2; i++) {
		uint64_t value = i ? now : old;
		struct buf *out = i ? &is : &was;
		if (!is_duration)
			buf_printf(out, "%" PRIu64, value);
		else if (value)
			num_add_duration(out, value);
		else
			buf_add_str(out, "none");
	}
	compare_text(w, CASHET__CHANGE__WHAT__OPTION, name, buf_cstr(&was),
		     buf_cstr(&is));
}

void compare_options(const struct compare_sink *sink, const uint8_t *old, size_t old_size,
		     const uint8_t *now, size_t now_size)
{
	struct walk w = {.sink = sink, .limit = UINT32_MAX};
	if (old_size == now_size && !memcmp(old_size ? old : now, now, now_size))
		return;
	Cashet__Options *a = cashet__options__unpack(NULL, old_size, old),
			*b = cashet__options__unpack(NULL, now_size, now);
	if (a && b) {
		CLEANUP_BUF struct buf was = {0}, is = {0};
		char priority[2][16];
		report_number(&w, "retries", a->retries, b->retries, false);
		report_number(&w, "timeout", a->timeout_ns, b->timeout_ns, true);
		report_number(&w, "grace", a->grace_ns, b->grace_ns, true);
		report_number(&w, "ttl", a->ttl_s * NS_PER_S, b->ttl_s * NS_PER_S, true);
		snprintf(priority[0], sizeof priority[0], "%d", a->priority);
		snprintf(priority[1], sizeof priority[1], "%d", b->priority);
		if (a->priority != b->priority)
			compare_text(&w, CASHET__CHANGE__WHAT__OPTION, "priority",
				     priority[0], priority[1]);
		add_resources(&was, a);
		add_resources(&is, b);
		if (strcmp(buf_cstr(&was), buf_cstr(&is)))
			compare_text(&w, CASHET__CHANGE__WHAT__OPTION, "resources",
				     buf_cstr(&was), buf_cstr(&is));
		buf_reset(&was);
		buf_reset(&is);
		add_secrets(&was, a);
		add_secrets(&is, b);
		if (strcmp(buf_cstr(&was), buf_cstr(&is)))
			compare_text(&w, CASHET__CHANGE__WHAT__OPTION, "secrets",
				     buf_cstr(&was), buf_cstr(&is));
	}
	if (a)
		cashet__options__free_unpacked(a, NULL);
	if (b)
		cashet__options__free_unpacked(b, NULL);
}

void compare_tags(const struct compare_sink *sink, Cashet__Pair *const *old,
		  size_t old_count, Cashet__Pair *const *now, size_t now_count)
{
	struct walk w = {.sink = sink, .limit = UINT32_MAX};
	for (size_t i = 0, k = 0; i < old_count || k < now_count;) {
		int order = i == old_count   ? 1
			    : k == now_count ? -1
					     : strcmp(old[i]->key, now[k]->key);
		const char *was = order <= 0 ? old[i]->value : NULL,
			   *is = order >= 0 ? now[k]->value : NULL;
		if (!was || !is || strcmp(was, is))
			compare_text(&w, CASHET__CHANGE__WHAT__TAG,
				     order <= 0 ? old[i]->key : now[k]->key, was, is);
		i += order <= 0;
		k += order >= 0;
	}
}
