/* golden.c - for test_golden.py: lines "KIND HEX" from standard input; for each, one JSON object with what
 * was decoded, and what encoding that again gives. {} if the decoder refuses the bytes. */
#include "common/format/commit.h"
#include "common/format/function.h"
#include "common/format/source.h"
#include "common/json.h"
#include "common/pure/hex.h"
#include "common/pure/sha256.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const type_names[] = {"none",   "file",   "exec", "tree", "list",
					 "result", "extern", "dir",  "json", "pickle"};

static void text(struct json *j, const char *key, const char *value)
{
	json_key(j, key);
	if (value)
		json_string(j, value);
	else
		json_null(j);
}

static void number(struct json *j, const char *key, uint64_t value)
{
	json_key(j, key);
	json_uint(j, value);
}

static void hex(struct json *j, const char *key, const void *data, size_t size)
{
	json_key(j, key);
	json_hex(j, data, size);
}

static void content(struct json *j, const char *key, const struct content *c)
{
	json_key(j, key);
	json_object(j);
	text(j, "type", type_names[c->type]);
	hex(j, "digest", c->digest, DIGEST_SIZE);
	json_end_object(j);
}

static void texts(struct json *j, const char *key, char *const *items, size_t count)
{
	json_key(j, key);
	json_array(j);
	for (size_t i = 0; i < count; i++)
		json_string(j, items[i]);
	json_end_array(j);
}

/* ---- arguments ---- */

static void value(struct json *j, const struct value *v)
{
	char buffer[64];
	const char *kind = "text", *said = buffer;
	json_object(j);
	switch (v->type) {
	case VALUE_BOOL:
		json_key(j, "bool");
		json_bool(j, v->boolean);
		json_end_object(j);
		return;
	case VALUE_INT:
		kind = "int";
		snprintf(buffer, sizeof buffer, "%" PRId64, v->i);
		break;
	case VALUE_UINT:
		kind = "int";
		snprintf(buffer, sizeof buffer, "%" PRIu64, v->u);
		break;
	case VALUE_DOUBLE:
		kind = "float";
		snprintf(buffer, sizeof buffer, "%.17g", v->d);
		break;
	case VALUE_STRING:
		said = v->text;
	}
	text(j, kind, said);
	json_end_object(j);
}

static int of_args(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct args a = {0};
	if (args_decode(data, size, &a))
		return 1;
	args_encode(again, &a);
	json_key(j, "values");
	json_array(j);
	for (size_t i = 0; i < a.value_count; i++)
		value(j, &a.values[i]);
	json_end_array(j);
	json_key(j, "inputs");
	json_array(j);
	for (size_t i = 0; i < a.input_count; i++) {
		const struct args_input *in = &a.inputs[i];
		json_object(j);
		if (in->name_is_array)
			texts(j, "name", in->names, in->name_count);
		else
			text(j, "name", in->names[0]);
		content(j, "content", &in->content);
		json_end_object(j);
	}
	json_end_array(j);
	args_fini(&a);
	return 0;
}

static void arg(struct json *j, const struct arg *a)
{
	char buffer[64];
	json_object(j);
	switch (a->type) {
	case ARG_NULL:
		json_key(j, "null");
		json_bool(j, true);
		break;
	case ARG_BOOL:
		json_key(j, "bool");
		json_bool(j, a->boolean);
		break;
	case ARG_INT:
		snprintf(buffer, sizeof buffer, "%" PRId64, a->i);
		text(j, "int", buffer);
		break;
	case ARG_FLOAT:
		snprintf(buffer, sizeof buffer, "%.17g", a->d);
		text(j, "float", buffer);
		break;
	case ARG_TEXT:
		json_key(j, "text");
		json_string_n(j, a->data, a->size);
		break;
	case ARG_BYTES:
		hex(j, "bytes", a->data, a->size);
		break;
	case ARG_LIST:
		json_key(j, "list");
		json_array(j);
		for (size_t i = 0; i < a->count; i++)
			arg(j, &a->items[i]);
		json_end_array(j);
		break;
	case ARG_MAP:
		json_key(j, "map");
		json_object(j);
		for (size_t i = 0; i < a->count; i++) {
			json_key(j, a->items[i].name);
			arg(j, &a->items[i]);
		}
		json_end_object(j);
		break;
	case ARG_REF:
		content(j, "ref", &a->content);
		break;
	case ARG_FILE:
		text(j, "file", a->data);
		content(j, "content", &a->content);
		break;
	}
	json_end_object(j);
}

static int of_call_args(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct call_args a = {0};
	if (call_args_decode(data, size, &a))
		return 1;
	if (call_args_encode(again, &a))
		exit(2);
	json_key(j, "positional");
	json_array(j);
	for (size_t i = 0; i < a.positional_count; i++)
		arg(j, &a.positional[i]);
	json_end_array(j);
	json_key(j, "keywords");
	json_object(j);
	for (size_t i = 0; i < a.keyword_count; i++) {
		json_key(j, a.keywords[i].name);
		arg(j, &a.keywords[i]);
	}
	json_end_object(j);
	call_args_fini(&a);
	return 0;
}

/* ---- functions ---- */

static void env(struct json *j, const struct function *f)
{
	json_key(j, "env");
	json_object(j);
	for (size_t i = 0; i < f->env_count; i++)
		text(j, f->env[i].name, f->env[i].value);
	json_end_object(j);
}

static void code(struct json *j, const struct function *f)
{
	json_key(j, "code");
	json_array(j);
	for (size_t i = 0; i < f->code_count; i++) {
		json_object(j);
		text(j, "path", f->code[i].path);
		json_key(j, "executable");
		json_bool(j, f->code[i].executable);
		if (f->code[i].scheme != CODE_BYTES)
			number(j, "scheme", f->code[i].scheme);
		hex(j, "digest", f->code[i].digest, DIGEST_SIZE);
		json_end_object(j);
	}
	json_end_array(j);
}

static int of_function(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct function f = {0};
	if (function_decode(data, size, &f))
		return 1;
	function_encode(again, &f);
	if (f.shell) {
		json_key(j, "argv");
		json_null(j);
	} else {
		texts(j, "argv", f.argv, f.argc);
	}
	text(j, "shell", f.shell);
	env(j, &f);
	texts(j, "params", f.params, f.param_count);
	texts(j, "inputs", f.inputs, f.input_count);
	json_key(j, "outputs");
	json_array(j);
	for (size_t i = 0; i < f.output_count; i++) {
		json_object(j);
		text(j, "name", f.outputs[i].name);
		text(j, "path", f.outputs[i].value);
		json_end_object(j);
	}
	json_end_array(j);
	text(j, "metrics", f.metrics);
	text(j, "salt", f.salt);
	code(j, &f);
	function_fini(&f);
	return 0;
}

static int of_call(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct function f = {0};
	if (function_decode(data, size, &f))
		return 1;
	function_encode(again, &f);
	text(j, "language", f.language);
	hex(j, "identity", f.identity, DIGEST_SIZE);
	text(j, "version", f.version);
	env(j, &f);
	text(j, "salt", f.salt);
	code(j, &f);
	function_fini(&f);
	return 0;
}

/* ---- sources ---- */

static void flag(struct json *j, const char *key, bool value)
{
	json_key(j, key);
	json_bool(j, value);
}

static void unit(struct json *j, const struct source_unit *u)
{
	json_object(j);
	text(j, "language", u->language);
	text(j, "path", u->path);
	text(j, "name", u->name);
	hex(j, "hash", u->hash, DIGEST_SIZE);
	hex(j, "identity", u->identity, DIGEST_SIZE);
	json_key(j, "packages");
	json_array(j);
	for (size_t i = 0; i < u->package_count; i++) {
		json_object(j);
		text(j, "name", u->packages[i].name);
		text(j, "version", u->packages[i].version);
		flag(j, "counts", u->packages[i].counts);
		json_end_object(j);
	}
	json_end_array(j);
	texts(j, "flags", u->flags, u->flag_count);
	json_key(j, "definitions");
	json_array(j);
	for (size_t i = 0; i < u->definition_count; i++) {
		const struct source_definition *d = &u->definitions[i];
		json_object(j);
		text(j, "label", d->label);
		text(j, "kind", d->kind);
		text(j, "path", d->path);
		number(j, "line", d->line);
		hex(j, "digest", d->digest, DIGEST_SIZE);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

static int of_source(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct source s = {0};
	if (source_decode(data, size, &s))
		return 1;
	source_encode(again, &s);
	json_key(j, "files");
	json_array(j);
	for (size_t i = 0; i < s.file_count; i++) {
		json_object(j);
		text(j, "path", s.files[i].path);
		flag(j, "executable", s.files[i].executable);
		number(j, "size", s.files[i].size);
		hex(j, "digest", s.files[i].digest, DIGEST_SIZE);
		json_end_object(j);
	}
	json_end_array(j);
	json_key(j, "units");
	json_array(j);
	for (size_t i = 0; i < s.unit_count; i++)
		unit(j, &s.units[i]);
	json_end_array(j);
	source_fini(&s);
	return 0;
}

/* ---- folders, results, lists ---- */

static void entries(struct json *j, const struct content_entries *e)
{
	json_key(j, "entries");
	json_array(j);
	for (size_t i = 0; i < e->count; i++) {
		json_object(j);
		if (e->items[i].name)
			text(j, "name", e->items[i].name);
		text(j, "path", e->items[i].path);
		text(j, "type", type_names[e->items[i].content.type]);
		number(j, "size", e->items[i].size);
		hex(j, "digest", e->items[i].content.digest, DIGEST_SIZE);
		json_end_object(j);
	}
	json_end_array(j);
}

static int of_tree(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct content_entries e = {0};
	if (content_decode_tree(data, size, &e))
		return 1;
	content_encode_tree(again, &e);
	entries(j, &e);
	content_entries_fini(&e);
	return 0;
}

static int of_result(struct json *j, struct buf *again, const void *data, size_t size)
{
	struct content_entries e = {0};
	if (content_decode_result(data, size, &e))
		return 1;
	content_encode_result(again, &e);
	entries(j, &e);
	content_entries_fini(&e);
	return 0;
}

static int of_list(struct json *j, struct buf *again, const void *data, size_t size)
{
	const struct content *members = data;
	if (size % CONTENT_SIZE)
		return 1;
	json_key(j, "entries");
	json_array(j);
	for (size_t i = 0; i < size / CONTENT_SIZE; i++) {
		json_object(j);
		text(j, "type", type_names[members[i].type]);
		hex(j, "digest", members[i].digest, DIGEST_SIZE);
		json_end_object(j);
		buf_add(again, &members[i], CONTENT_SIZE);
	}
	json_end_array(j);
	return 0;
}

/* ---- commits ---- */

static void digest_or_null(struct json *j, const char *key, bool has, const void *data,
			   size_t size)
{
	json_key(j, key);
	if (has)
		json_hex(j, data, size);
	else
		json_null(j);
}

static void results(struct json *j, const struct commit *c)
{
	if (c->result.type == CONTENT_NONE) {
		json_key(j, "result");
		json_null(j);
	} else {
		content(j, "result", &c->result);
	}
	number(j, "result_size", c->result_size);
	digest_or_null(j, "stdout", c->has_stdout, c->stdout_digest, DIGEST_SIZE);
	digest_or_null(j, "stderr", c->has_stderr, c->stderr_digest, DIGEST_SIZE);
	number(j, "stdout_size", c->stdout_size);
	number(j, "stderr_size", c->stderr_size);
	json_key(j, "outputs");
	json_array(j);
	for (size_t i = 0; i < c->output_count; i++) {
		json_object(j);
		text(j, "name", c->outputs[i].name);
		text(j, "path", c->outputs[i].path);
		content(j, "content", &c->outputs[i].content);
		number(j, "size", c->outputs[i].size);
		json_end_object(j);
	}
	json_end_array(j);
	json_key(j, "metrics");
	json_array(j);
	for (size_t i = 0; i < c->metric_count; i++) {
		char buffer[64];
		snprintf(buffer, sizeof buffer, "%.17g", c->metrics[i].number);
		json_object(j);
		text(j, "name", c->metrics[i].name);
		text(j, c->metrics[i].is_text ? "text" : "number",
		     c->metrics[i].is_text ? c->metrics[i].text : buffer);
		json_end_object(j);
	}
	json_end_array(j);
}

static int of_commit(struct json *j, struct buf *again, const void *data, size_t size)
{
	CLEANUP_BUF struct buf arena = {0};
	struct commit c;
	if (commit_decode(data, size, &c, &arena))
		return 1;
	commit_encode(again, &c);
	text(j, "status", c.status == COMMIT_COMPLETED ? "completed" : "failed");
	text(j, "name", c.name);
	hex(j, "func_hash", c.func_hash, DIGEST_SIZE);
	hex(j, "args", c.args, c.args_size);
	digest_or_null(j, "nonce", c.has_nonce, c.nonce, NONCE_SIZE);
	digest_or_null(j, "parent", c.has_parent, c.parent, DIGEST_SIZE);
	results(j, &c);
	json_key(j, "exit_code");
	json_int(j, c.exit_code);
	json_key(j, "term_signal");
	json_int(j, c.term_signal);
	text(j, "error", c.error);
	number(j, "ended_wall_ms", c.ended_wall_ms);
	number(j, "duration_ns", c.duration_ns);
	number(j, "cpu_user_ns", c.cpu_user_ns);
	number(j, "cpu_system_ns", c.cpu_system_ns);
	number(j, "max_rss_bytes", c.max_rss_bytes);
	number(j, "attempts", c.attempts);
	text(j, "worker_name", c.worker_name);
	hex(j, "worker_key", c.worker_key, KEY_SIZE);
	number(j, "epoch", c.epoch);
	hex(j, "batch", c.batch, DIGEST_SIZE);
	number(j, "index", c.index);
	number(j, "ttl_s", c.ttl_s);
	hex(j, "options", c.options, c.options_size);
	if (c.has_source)
		hex(j, "source", c.source, DIGEST_SIZE);
	return 0;
}

/* ---- lines ---- */

static const struct {
	const char *kind;
	int (*read)(struct json *j, struct buf *again, const void *data, size_t size);
} kinds[] = {
	{"args", of_args},     {"call_args", of_call_args}, {"function", of_function},
	{"call", of_call},     {"source", of_source},	    {"tree", of_tree},
	{"result", of_result}, {"list", of_list},	    {"commit", of_commit},
};

static void answer(const char *kind, const char *digits, struct buf *out)
{
	CLEANUP_BUF struct buf again = {0};
	uint8_t digest[DIGEST_SIZE];
	size_t size = strlen(digits) / 2;
	uint8_t *data = malloc(size + 1);
	struct json j;
	if (!data || hex_decode(data, size, digits))
		exit(2);
	json_init(&j, out);
	json_object(&j);
	size_t before = out->size;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (strcmp(kinds[i].kind, kind) != 0 ||
		    kinds[i].read(&j, &again, data, size))
			continue;
		sha256_digest(again.data, again.size, digest);
		json_key(&j, "again");
		json_hex(&j, again.data, again.size);
		json_key(&j, "sha256");
		json_hex(&j, digest, DIGEST_SIZE);
		before = 0;
	}
	if (before)
		out->size = before;
	json_end_object(&j);
	free(data);
}

int main(void)
{
	char *line = NULL, *save;
	size_t room = 0;
	CLEANUP_BUF struct buf out = {0};
	while (getline(&line, &room, stdin) > 0) {
		const char *kind = strtok_r(line, " \n", &save);
		const char *digits = strtok_r(NULL, " \n", &save);
		buf_reset(&out);
		answer(kind ? kind : "", digits ? digits : "", &out);
		printf("%s\n", buf_cstr(&out));
	}
	free(line);
	return 0;
}
