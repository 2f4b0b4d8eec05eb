/* function.c - see function.h: the description of a command or a call. What is decoded here comes from
 * clients and is laid out and run by workers, so every path is inside and every name is a name. */
#include "common/format/function.h"

#include "common/format/path_order.h"
#include "common/format/read.h"
#include "common/fs.h"
#include "common/names.h"

#include <stdlib.h>
#include <string.h>

#define FUNCTION_TAG "cashet.function"
#define FUNCTION_FIELDS 11 /* of a command */
#define CALL_FIELDS 8

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; texts && i < count; i++)
		free(texts[i]);
	free(texts);
}

static void free_pairs(struct function_pair *pairs, size_t count)
{
	for (size_t i = 0; pairs && i < count; i++) {
		free(pairs[i].name);
		free(pairs[i].value);
	}
	free(pairs);
}

void function_fini(struct function *f)
{
	if (!f)
		return;
	free(f->language);
	free(f->version);
	free_texts(f->argv, f->argc);
	free(f->shell);
	free_pairs(f->env, f->env_count);
	free_pairs(f->outputs, f->output_count);
	free_texts(f->params, f->param_count);
	free_texts(f->inputs, f->input_count);
	free(f->metrics);
	free(f->salt);
	for (size_t i = 0; f->code && i < f->code_count; i++)
		free(f->code[i].path);
	free(f->code);
	*f = (struct function){0};
}

/* ---- encoding */

static int by_key(const void *a, const void *b)
{
	const struct function_pair *x = a, *y = b;
	return cbor_key_order(x->name, strlen(x->name), y->name, strlen(y->name));
}

static int by_name(const void *a, const void *b)
{
	const struct function_pair *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int by_text(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;
	return strcmp(*x, *y);
}

static int by_code_path(const void *a, const void *b)
{
	const struct function_code *x = a, *y = b;
	return strcmp(x->path, y->path);
}

static void sort(void *items, size_t count, size_t size,
		 int (*order)(const void *, const void *))
{
	if (count)
		qsort(items, count, size, order);
}

static void add_texts(struct buf *out, char **texts, size_t count)
{
	cbor_add_array(out, count);
	for (size_t i = 0; i < count; i++)
		cbor_add_text(out, texts[i]);
}

static void add_text_or_null(struct buf *out, const char *text)
{
	if (text)
		cbor_add_text(out, text);
	else
		cbor_add_null(out);
}

static void encode_env(struct buf *out, const struct function *f)
{
	cbor_add_map(out, f->env_count);
	for (size_t i = 0; i < f->env_count; i++) {
		cbor_add_text(out, f->env[i].name);
		cbor_add_text(out, f->env[i].value);
	}
}

static void encode_code(struct buf *out, const struct function *f)
{
	cbor_add_array(out, f->code_count);
	for (size_t i = 0; i < f->code_count; i++) {
		const struct function_code *code = &f->code[i];
		cbor_add_array(out, 4);
		cbor_add_text(out, code->path);
		cbor_add_bool(out, code->executable);
		cbor_add_uint(out, code->scheme ? code->scheme : CODE_BYTES);
		cbor_add_bytes(out, code->digest, DIGEST_SIZE);
	}
}

static void encode_call(struct buf *out, const struct function *f)
{
	cbor_add_array(out, CALL_FIELDS);
	cbor_add_text(out, FUNCTION_TAG);
	cbor_add_uint(out, 1);
	cbor_add_text(out, f->language);
	cbor_add_bytes(out, f->identity, DIGEST_SIZE);
	add_text_or_null(out, f->version);
	encode_env(out, f);
	add_text_or_null(out, f->salt);
	encode_code(out, f);
}

void function_encode(struct buf *out, struct function *f)
{
	sort(f->env, f->env_count, sizeof *f->env, by_key);
	sort(f->params, f->param_count, sizeof *f->params, by_text);
	sort(f->inputs, f->input_count, sizeof *f->inputs, by_text);
	sort(f->outputs, f->output_count, sizeof *f->outputs, by_name);
	sort(f->code, f->code_count, sizeof *f->code, by_code_path);
	if (function_is_call(f)) {
		encode_call(out, f);
		return;
	}
	cbor_add_array(out, FUNCTION_FIELDS);
	cbor_add_text(out, FUNCTION_TAG);
	cbor_add_uint(out, 1);
	cbor_add_text(out, "command");
	if (f->shell)
		cbor_add_text(out, f->shell);
	else
		add_texts(out, f->argv, f->argc);
	encode_env(out, f);
	add_texts(out, f->params, f->param_count);
	add_texts(out, f->inputs, f->input_count);
	cbor_add_array(out, f->output_count);
	for (size_t i = 0; i < f->output_count; i++) {
		cbor_add_array(out, 2);
		cbor_add_text(out, f->outputs[i].name);
		cbor_add_text(out, f->outputs[i].value);
	}
	add_text_or_null(out, f->metrics);
	add_text_or_null(out, f->salt);
	encode_code(out, f);
}

/* ---- decoding; counts grow with what is stored, so that function_fini() frees just that */

static int decode_run(struct cbor_reader *r, struct function *f)
{
	enum cbor_type type;
	if (cbor_peek_type(r, &type))
		return 1;
	if (type == CBOR_TEXT)
		return !(f->shell = read_strdup(r)) || !*f->shell;
	uint64_t count;
	if (cbor_read_array(r, &count) || !count)
		return 1;
	if (!(f->argv = read_calloc(count, sizeof *f->argv)))
		return 1;
	for (; f->argc < count; f->argc++)
		if (!(f->argv[f->argc] = read_strdup(r)))
			return 1;
	return 0;
}

static int decode_env(struct cbor_reader *r, struct function *f)
{
	uint64_t count;
	struct cbor_key key = {0};
	if (cbor_read_map(r, &count) || !(f->env = read_calloc(count, sizeof *f->env)))
		return 1;
	while (f->env_count < count) {
		struct function_pair *pair = &f->env[f->env_count];
		if (cbor_read_key(r, &key) || !key.size ||
		    memchr(key.text, '=', key.size))
			return 1;
		f->env_count++;
		if (!(pair->name = strndup(key.text, key.size)) ||
		    !(pair->value = read_strdup(r)))
			return 1;
	}
	return 0;
}

static int decode_names(struct cbor_reader *r, char ***namesp, size_t *countp)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(*namesp = read_calloc(count, sizeof **namesp)))
		return 1;
	char **names = *namesp;
	while (*countp < count) {
		size_t i = *countp;
		if (!(names[i] = read_name(r)))
			return 1;
		++*countp;
		if (i > 0 && strcmp(names[i - 1], names[i]) >= 0)
			return 1;
	}
	return 0;
}

static int decode_outputs(struct cbor_reader *r, struct function *f)
{
	uint64_t count;
	if (cbor_read_array(r, &count) ||
	    !(f->outputs = read_calloc(count, sizeof *f->outputs)))
		return 1;
	while (f->output_count < count) {
		struct function_pair *pair = &f->outputs[f->output_count++];
		if (read_array_of(r, 2) || !(pair->name = read_name(r)) ||
		    !(pair->value = read_strdup(r)) || !fs_path_is_inside(pair->value))
			return 1;
		if (f->output_count > 1 && strcmp(pair[-1].name, pair->name) >= 0)
			return 1;
	}
	return 0;
}

static int decode_code(struct cbor_reader *r, struct function *f)
{
	CLEANUP(path_order_fini) struct path_order order = {0};
	uint64_t count, scheme;
	if (cbor_read_array(r, &count) ||
	    !(f->code = read_calloc(count, sizeof *f->code)))
		return 1;
	while (f->code_count < count) {
		struct function_code *code = &f->code[f->code_count++];
		if (read_array_of(r, 4) || !(code->path = read_strdup(r)) ||
		    path_order_next(&order, code->path) ||
		    cbor_read_bool(r, &code->executable) || cbor_read_uint(r, &scheme) ||
		    scheme < CODE_BYTES || scheme > CODE_C ||
		    cbor_read_digest(r, code->digest))
			return 1;
		code->scheme = (uint8_t)scheme;
	}
	return 0;
}

static int decode_command(struct cbor_reader *r, struct function *f)
{
	return decode_run(r, f) || decode_env(r, f) ||
	       decode_names(r, &f->params, &f->param_count) ||
	       decode_names(r, &f->inputs, &f->input_count) || decode_outputs(r, f) ||
	       read_text_or_null(r, &f->metrics) ||
	       (f->metrics && !fs_path_is_inside(f->metrics)) ||
	       read_text_or_null(r, &f->salt) || decode_code(r, f);
}

static int decode_call(struct cbor_reader *r, struct function *f)
{
	return cbor_read_digest(r, f->identity) || read_text_or_null(r, &f->version) ||
	       decode_env(r, f) || read_text_or_null(r, &f->salt) || decode_code(r, f);
}

int function_decode(const void *data, size_t size, struct function *out)
{
	CLEANUP(function_fini) struct function f = {0};
	struct cbor_reader r;
	uint64_t fields;
	cbor_reader_init(&r, data, size);
	struct cbor_reader head = r;
	if (cbor_read_array(&head, &fields) ||
	    (fields != FUNCTION_FIELDS && fields != CALL_FIELDS) ||
	    read_header(&r, fields, FUNCTION_TAG, 1) || !(f.language = read_name(&r)))
		return 1;
	bool is_command = !strcmp(f.language, "command");
	if (is_command != (fields == FUNCTION_FIELDS))
		return 1;
	if (is_command) {
		free(f.language);
		f.language = NULL;
	}
	if ((is_command ? decode_command(&r, &f) : decode_call(&r, &f)) || !cbor_done(&r))
		return 1;
	*out = f;
	f = (struct function){0};
	return 0;
}

bool function_has_source(const struct function *f)
{
	for (size_t i = 0; i < f->code_count; i++)
		if (f->code[i].scheme > CODE_BYTES)
			return true;
	return function_is_call(f);
}
