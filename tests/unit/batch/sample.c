/* sample.c - see sample.h. What the sink gets is unpacked again, so that the tests see what the
 * broker would. */
#include "sample.h"

#include "common/fs.h"
#include "common/pure/hex.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];
static struct buf dump_text;
static struct err error;
static char shown[2048];
static size_t description_size;

void sample_begin(void)
{
	strcpy(folder, "/tmp/cashet-batch-XXXXXX");
	cr_assert(mkdtemp(folder));
	/* No describer of the machine that we are built on. */
	cr_assert_eq(setenv("CASHET_RUNNER_PATH", folder, 1), 0);
	cr_assert_eq(chdir(folder), 0);
}

void sample_end(void)
{
	cr_assert_eq(chdir("/"), 0);
	fs_remove_tree(folder);
	buf_fini(&dump_text);
}

void sample_write_bytes(const char *path, const void *data, size_t size)
{
	char *copy = strdup(path), *slash = strrchr(copy, '/');
	if (slash) {
		*slash = '\0';
		cr_assert_eq(fs_mkdir_p(copy, 0755), 0);
	}
	free(copy);
	FILE *f = fopen(path, "wb");
	cr_assert(f, "%s", path);
	cr_assert_eq(fwrite(data, 1, size, f), size);
	fclose(f);
}

void sample_write(const char *path, const char *text)
{
	sample_write_bytes(path, text, strlen(text));
}

/* ---- the sink */

static void dump_options(const Cashet__Options *o)
{
	buf_printf(&dump_text, "options");
	for (size_t i = 0; i < o->n_resources; i++)
		buf_printf(&dump_text, " %s=%" PRIu64, o->resources[i]->name,
			   o->resources[i]->milli);
	buf_printf(&dump_text, " retries=%u timeout=%llums grace=%llums", o->retries,
		   o->timeout_ns / NS_PER_MS, o->grace_ns / NS_PER_MS);
	buf_printf(&dump_text, " priority=%d cache=%d ttl=%" PRIu64, o->priority,
		   o->cache, o->ttl_s);
	for (size_t i = 0; i < o->n_best; i++)
		buf_printf(&dump_text, " best=%s", o->best[i]);
	for (size_t i = 0; i < o->n_secrets; i++)
		buf_printf(&dump_text, " secret=%s", o->secrets[i]);
	for (size_t i = 0; i < o->n_externs; i++)
		buf_printf(&dump_text, " extern=%u.%u:%s", o->externs[i]->input,
			   o->externs[i]->member, o->externs[i]->path);
	if (o->isolation)
		buf_printf(&dump_text, " fork");
	if (o->interpreter && *o->interpreter)
		buf_printf(&dump_text, " python:%s", o->interpreter);
	buf_printf(&dump_text, "%s\n", o->stdout_is_result ? " stdout" : "");
}

static void dump_function(const Cashet__Function *message)
{
	struct function f;
	buf_printf(&dump_text, "function %s options=%u", message->name, message->options);
	description_size = message->description.len;
	cr_assert_eq(
		function_decode(message->description.data, message->description.len, &f),
		0, "a worker would refuse %s", message->name);
	for (size_t i = 0; i < f.argc; i++)
		buf_printf(&dump_text, " %s", f.argv[i]);
	if (f.shell)
		buf_printf(&dump_text, " '%s'", f.shell);
	if (f.language)
		buf_printf(&dump_text, " %s %s %02x%02x", f.language,
			   f.version ? f.version : "-", f.identity[0], f.identity[1]);
	for (size_t i = 0; i < message->n_params; i++)
		buf_printf(&dump_text, "%s%s", i ? "," : " shows:", message->params[i]);
	for (size_t i = 0; i < f.env_count; i++)
		buf_printf(&dump_text, " env:%s=%s", f.env[i].name, f.env[i].value);
	for (size_t i = 0; i < f.param_count; i++)
		buf_printf(&dump_text, " p:%s", f.params[i]);
	for (size_t i = 0; i < message->n_param_order; i++)
		buf_printf(&dump_text, "%s%u",
			   i ? "," : " order:", message->param_order[i]);
	for (size_t i = 0; i < f.input_count; i++)
		buf_printf(&dump_text, " in:%s", f.inputs[i]);
	for (size_t i = 0; i < f.output_count; i++)
		buf_printf(&dump_text, " out:%s=%s", f.outputs[i].name,
			   f.outputs[i].value);
	for (size_t i = 0; i < f.code_count; i++)
		buf_printf(&dump_text, " code:%s%s:%02x%02x", f.code[i].path,
			   f.code[i].executable ? "*" : "", f.code[i].digest[0],
			   f.code[i].digest[1]);
	for (size_t i = 0; i < f.code_count; i++)
		if (f.code[i].scheme != CODE_BYTES)
			buf_printf(&dump_text, " scheme:%s=%u", f.code[i].path,
				   f.code[i].scheme);
	cr_assert_eq(message->source.len == DIGEST_SIZE, function_has_source(&f));
	if (f.metrics)
		buf_printf(&dump_text, " metrics:%s", f.metrics);
	if (f.salt)
		buf_printf(&dump_text, " salt:%s", f.salt);
	for (size_t i = 0; i < message->n_tags; i++)
		buf_printf(&dump_text, " tag:%s=%s", message->tags[i]->key,
			   message->tags[i]->value);
	for (size_t i = 0; i < message->n_env; i++)
		buf_printf(&dump_text, " private:%s=%s", message->env[i]->key,
			   message->env[i]->value);
	buf_add_byte(&dump_text, '\n');
	function_fini(&f);
}

size_t sample_description_size(void)
{
	return description_size;
}

static void dump_group(const Cashet__Group *g)
{
	buf_printf(&dump_text, "group");
	for (size_t i = 0; i < g->n_ranges; i++) {
		const Cashet__GroupRange *r = g->ranges[i];
		if (r->count) {
			buf_printf(&dump_text, " %u+%u.%u", r->first, r->count, r->slot);
			continue;
		}
		cr_assert_eq(r->content.len, CONTENT_SIZE);
		buf_printf(&dump_text, " type%d:%02x%02x", r->content.data[0],
			   r->content.data[1], r->content.data[2]);
	}
	buf_printf(&dump_text, "%s\n", g->skip_failed ? " skip" : "");
}

static void dump_arg(const char *name, const struct arg *a)
{
	buf_printf(&dump_text, " %s%s", name, *name ? "=" : "");
	arg_format(&dump_text, a);
}

static void dump_task(const Cashet__TaskSpec *t)
{
	struct args a;
	cr_assert_eq(args_decode(t->args.data, t->args.len, &a), 0, "bad arguments");
	buf_printf(&dump_text, "task f=%u", t->function);
	for (size_t i = 0; a.call && i < a.call->positional_count; i++)
		dump_arg("", &a.call->positional[i]);
	for (size_t i = 0; a.call && i < a.call->keyword_count; i++)
		dump_arg(a.call->keywords[i].name, &a.call->keywords[i]);
	if (a.call && a.input_count)
		buf_printf(&dump_text, " ;");
	for (size_t i = 0; i < a.value_count; i++) {
		buf_printf(&dump_text, "%s", i ? "," : " (");
		if (a.values[i].type == VALUE_STRING)
			buf_printf(&dump_text, "'%s'", a.values[i].text);
		else
			value_format(&dump_text, &a.values[i]);
	}
	buf_printf(&dump_text, "%s", a.value_count ? ")" : "");
	for (size_t i = 0; i < a.input_count; i++) {
		const struct args_input *in = &a.inputs[i];
		const Cashet__Ref *ref = NULL;
		for (size_t k = 0; k < t->n_refs; k++)
			if (t->refs[k]->offset == in->offset)
				ref = t->refs[k];
		if (in->label)
			buf_printf(&dump_text, " %s:", in->label);
		for (size_t k = 0; k < in->name_count; k++)
			buf_printf(&dump_text, "%s%s",
				   k	       ? "|"
				   : in->label ? ""
					       : " ",
				   in->names[k]);
		buf_printf(&dump_text, "%s", in->name_is_array ? "[]" : "");
		cr_assert_eq(in->content.type == CONTENT_NONE, ref != NULL);
		if (!ref)
			buf_printf(&dump_text, "=type%d:%02x%02x", in->content.type,
				   in->content.digest[0], in->content.digest[1]);
		else if (ref->is_group)
			buf_printf(&dump_text, "=group%u", ref->target);
		else
			buf_printf(&dump_text, "=%u.%u", ref->target, ref->slot);
	}
	for (size_t i = 0; i < t->n_needs; i++)
		buf_printf(&dump_text, "%s%u", i ? "," : " needs ", t->needs[i]);
	if (t->nonce.len) {
		cr_assert_eq(t->nonce.len, NONCE_SIZE);
		buf_printf(&dump_text, " nonce");
	}
	buf_add_byte(&dump_text, '\n');
	args_fini(&a);
}

static int on_chunk(void *arg, const void *packed, size_t size, bool last, struct err *e)
{
	Cashet__SubmitChunk *c = cashet__submit_chunk__unpack(NULL, size, packed);
	cr_assert(c, "a chunk is not a SubmitChunk");
	if (c->info) {
		buf_printf(&dump_text, "batch %s %s failures=%u parallel=%u",
			   c->info->name, c->info->file, c->info->policy->max_failures,
			   c->info->policy->max_parallel);
		for (size_t i = 0; i < c->info->n_tags; i++)
			buf_printf(&dump_text, " tag:%s=%s", c->info->tags[i]->key,
				   c->info->tags[i]->value);
		buf_add_byte(&dump_text, '\n');
	}
	for (size_t i = 0; i < c->n_options; i++)
		dump_options(c->options[i]);
	for (size_t i = 0; i < c->n_functions; i++)
		dump_function(c->functions[i]);
	for (size_t i = 0; i < c->n_groups; i++)
		dump_group(c->groups[i]);
	for (size_t i = 0; i < c->n_tasks; i++)
		dump_task(c->tasks[i]);
	cashet__submit_chunk__free_unpacked(c, NULL);
	return 0;
}

static int on_upload(void *arg, const struct builder_upload *u, struct err *e)
{
	const char *name = u->path ? strrchr(u->path, '/') + 1 : "(made)";
	buf_printf(&dump_text, "upload %s %" PRIu64 " %02x%02x\n", name, u->size,
		   u->digest[0], u->digest[1]);
	return 0;
}

/* ---- running */

static int feed(struct batch *batch)
{
	static const uint8_t request[16];
	struct builder_sink sink = {.chunk = on_chunk, .upload = on_upload};
	struct builder *b = builder_new(request, batch_info(batch), &sink);
	int r = batch_feed(batch, b, &error);
	if (!r)
		r = builder_finish(b, false, &error);
	uint64_t total = batch_task_total(batch);
	if (!r && total)
		cr_expect_eq(builder_task_count(b), total,
			     "%u tasks were given, %" PRIu64 " said",
			     builder_task_count(b), total);
	builder_free(b);
	return r;
}

const char *sample_run(const struct batch_options *options, const char **dump)
{
	struct batch *batch = NULL;
	buf_reset(&dump_text);
	error = (struct err){0};
	int r = batch_open(&batch, options, &error);
	if (!r)
		r = feed(batch);
	batch_free(batch);
	cr_assert_eq(r, (int)error.code);
	if (dump)
		*dump = buf_cstr(&dump_text);
	if (!r)
		return "";
	/* The folder's name is new in every run. */
	char *at = strstr(error.next, folder);
	if (at)
		memmove(at + 6, at + strlen(folder), strlen(at + strlen(folder)) + 1);
	if (at)
		memcpy(at, "FOLDER", 6);
	snprintf(shown, sizeof shown, "%s%s%s", error.what, error.next[0] ? "\n> " : "",
		 error.next);
	return shown;
}

const char *sample_text(const char *path, const char *text)
{
	const char *dump;
	sample_write(path, text);
	const char *problem = sample_run(&(struct batch_options){.path = path}, &dump);
	cr_assert_str_empty(problem, "%s", problem);
	return dump;
}

const char *sample_error(const char *path, const char *text)
{
	if (text)
		sample_write(path, text);
	return sample_run(&(struct batch_options){.path = path}, NULL);
}

void sample_check_errors(const struct sample_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct sample_row *row = &rows[i];
		const char *dump;
		if (row->text)
			sample_write_bytes(row->path, row->text,
					   row->size ? row->size : strlen(row->text));
		const char *found =
			sample_run(&(struct batch_options){.path = row->path}, &dump);
		cr_expect_str_eq(found, row->error, "%s\nexpected: %s\nfound: %s",
				 row->name, row->error, found);
		cr_expect_eq(error.code, ERR_USAGE, "%s: code %d", row->name, error.code);
		cr_expect_str_empty(dump, "%s: something was submitted", row->name);
		if (row->text)
			unlink(row->path);
	}
}
