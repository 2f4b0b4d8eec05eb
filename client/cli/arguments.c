/* arguments.c - see arguments.h. */
#include "client/cli/arguments.h"

#include "client/batch/doc.h"
#include "client/batch/scalar.h"
#include "common/pure/hex.h"
#include "common/pure/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEXT_TEXT "a text is written '\"TEXT\"'"
#define NO_FILE "\"@\" names no file"
#define NEXT_FILE "@FILE is a file or a folder; a text is written '\"@\"'"
#define REF "ref:"

void arguments_fini(struct arguments *a)
{
	arena_fini(&a->arena);
}

static void *take(struct arguments *a, size_t count, size_t size)
{
	void *memory = arena_calloc(&a->arena, count, size);
	if (!memory)
		abort(); /* as all of the commands do */
	return memory;
}

static int bad_number(struct cli *cli, const char *text)
{
	return cli_usage(cli, NEXT_TEXT,
			 "%.100s does not fit: integers have 64 bits, with sign, "
			 "and " SCALAR_FLOATS,
			 text);
}

/* ---- plain values */

/* @text: NUL-terminated, of the arena or the command line. */
static int from_scalar(struct arguments *a, const char *text, struct cashet_arg *to)
{
	struct value v;
	switch (*text ? scalar_parse(text, &v) : SCALAR_TEXT) {
	case SCALAR_NULL:
		to->type = CASHET_ARG_NULL;
		return 0;
	case SCALAR_NOT_FINITE:
		to->type = CASHET_ARG_FLOAT;
		to->d = strpbrk(text, "aA") ? (double)NAN
			: *text == '-'	    ? (double)-INFINITY
					    : (double)INFINITY;
		return 0;
	case SCALAR_OUT_OF_RANGE:
		return bad_number(a->cli, text);
	case SCALAR_TEXT:
		to->type = CASHET_ARG_TEXT;
		to->text = text;
		return 0;
	case SCALAR_VALUE:
		break;
	}
	if (v.type == VALUE_BOOL) {
		to->type = CASHET_ARG_BOOL;
		to->boolean = v.boolean;
	} else if (v.type == VALUE_INT) {
		to->type = CASHET_ARG_INT;
		to->i = v.i;
	} else if (v.type == VALUE_DOUBLE) {
		to->type = CASHET_ARG_FLOAT;
		to->d = v.d;
	} else {
		return bad_number(a->cli, text);
	}
	return 0;
}

/* ---- JSON */

static const char *copy_text(struct arguments *a, const struct node *n)
{
	char *copy = take(a, n->count + 1, 1);
	memcpy(copy, n->text, n->count);
	return copy;
}

static int from_node(struct arguments *a, const struct node *n, struct cashet_arg *to)
{
	int code = 0;
	if (n->kind == NODE_TEXT && n->quoted) {
		to->type = CASHET_ARG_TEXT;
		to->text = copy_text(a, n);
		return 0;
	}
	if (n->kind == NODE_TEXT)
		return from_scalar(a, copy_text(a, n), to);
	struct cashet_arg *items = take(a, n->count, sizeof *items);
	to->type = n->kind == NODE_LIST ? CASHET_ARG_LIST : CASHET_ARG_MAP;
	to->items = items;
	to->count = n->count;
	for (uint32_t i = 0; code == 0 && i < n->count; i++) {
		const struct node *item =
			n->kind == NODE_LIST ? &n->items[i] : &n->pairs[i].value;
		if (n->kind == NODE_MAP)
			items[i].name = copy_text(a, &n->pairs[i].key);
		code = from_node(a, item, &items[i]);
	}
	return code;
}

static bool is_json(const char *text)
{
	return *text == '[' || *text == '{' || *text == '"';
}

/* Return: 0; CASHET_USAGE, printed. */
static int parse_json(struct cli *cli, const char *text, struct doc *doc)
{
	struct err e = {0};
	doc->source = (struct source_text){"argument", text, strlen(text), 1};
	doc->e = &e;
	if (!doc_parse_json(doc))
		return 0;
	err_next(&e, NEXT_TEXT);
	return cli_slip(cli, &e);
}

static int from_json(struct arguments *a, const char *text, struct cashet_arg *to)
{
	CLEANUP(doc_fini) struct doc doc = {0};
	int code = parse_json(a->cli, text, &doc);
	return code ? code : from_node(a, &doc.root, to);
}

/* ---- what is not a value */

/* find_result() - @digest: of 65 bytes. Return: 0; an exit code, @e says why. */
static int find_result(struct cashet *c, const char *what, char *digest,
		       enum cashet_content_type *typep, struct cashet_error *e)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	int code = cashet_commit_find(c, what, &results, &r, e);
	if (code)
		return code;
	*typep = r->result.type;
	hex_encode(digest, r->result.digest, DIGEST_SIZE);
	if (r->result.type == CASHET_CONTENT_NONE) {
		*e = (struct cashet_error){.code = code = CASHET_NOT_FOUND};
		snprintf(e->what, sizeof e->what, "%.200s has no result: the task is %s",
			 what, cashet_status_name(r->status));
	}
	cashet_results_close(results);
	return code;
}

static int from_ref(struct arguments *a, const char *what, struct cashet_arg *to)
{
	enum cashet_content_type type;
	struct cashet_error e;
	char *digest = take(a, 1, CASHET_HEX_SIZE);
	if (find_result(a->cli->c, what, digest, &type, &e))
		return cli_fail(a->cli, &e);
	to->type = CASHET_ARG_SOURCE;
	to->source = (struct cashet_source){
		.kind = CASHET_SOURCE_BLOB, .digest = digest, .content = type};
	return 0;
}

bool argument_is_ref(const char *text)
{
	return strncmp(text, REF, sizeof REF - 1) == 0;
}

int argument_parse(struct arguments *a, const char *text, struct cashet_arg *to)
{
	if (!utf8_valid(text, strlen(text)))
		return cli_usage(a->cli, "", "an argument is not UTF-8");
	if (is_json(text))
		return from_json(a, text, to);
	if (!strcmp(text, "@"))
		return cli_usage(a->cli, NEXT_FILE, NO_FILE);
	if (*text == '@') {
		to->type = CASHET_ARG_SOURCE;
		to->source = (struct cashet_source){.kind = CASHET_SOURCE_FILE,
						    .path = text + 1};
		return 0;
	}
	if (argument_is_ref(text))
		return from_ref(a, text + sizeof REF - 1, to);
	return from_scalar(a, text, to);
}

/* split_keyword() - *@sizep: bytes of NAME. Return: VALUE; NULL, printed. */
static const char *split_keyword(struct cli *cli, const char *text, size_t *sizep)
{
	const char *equals = strchr(text, '=');
	if (!equals || equals == text) {
		cli_usage(cli, "", "--kw takes NAME=VALUE, not \"%.200s\"", text);
		return NULL;
	}
	*sizep = (size_t)(equals - text);
	return equals + 1;
}

int argument_keyword(struct arguments *a, const char *text, struct cashet_arg *to)
{
	size_t size;
	const char *value = split_keyword(a->cli, text, &size);
	if (!value)
		return CASHET_USAGE;
	char *name = take(a, size + 1, 1);
	memcpy(name, text, size);
	int code = argument_parse(a, value, to);
	to->name = name;
	return code;
}

/* ---- for batch files */

/* plain_json() - a scalar; what JSON has no word for is a float of batch files. */
static int plain_json(struct cli *cli, const char *text, struct json *j)
{
	struct arguments a = {.cli = cli};
	struct cashet_arg value = {0};
	int code = from_scalar(&a, text, &value);
	if (code)
		return code;
	if (value.type == CASHET_ARG_NULL)
		json_null(j);
	else if (value.type == CASHET_ARG_BOOL)
		json_bool(j, value.boolean);
	else if (value.type == CASHET_ARG_INT)
		json_int(j, value.i);
	else if (value.type == CASHET_ARG_TEXT)
		json_string(j, value.text);
	else {
		char number[64];
		snprintf(number, sizeof number, "%a", value.d);
		json_object(j);
		json_key(j, "float");
		json_string(j, isnan(value.d) ? "nan" : number);
		json_end_object(j);
	}
	return 0;
}

int argument_special(struct cashet *c, const char *text, struct json *j,
		     struct cashet_error *e)
{
	char digest[CASHET_HEX_SIZE];
	enum cashet_content_type type = CASHET_CONTENT_NONE;
	bool is_ref = argument_is_ref(text);
	if (!strcmp(text, "@")) {
		*e = (struct cashet_error){
			.code = CASHET_USAGE, .what = NO_FILE, .next = NEXT_FILE};
		return CASHET_USAGE;
	}
	int code = is_ref ? find_result(c, text + sizeof REF - 1, digest, &type, e) : 0;
	if (code)
		return code;
	json_object(j);
	json_key(j, is_ref ? "stored" : "file");
	json_string(j, is_ref ? digest : text + 1);
	if (is_ref) {
		json_key(j, "type");
		json_string(j, type == CASHET_CONTENT_JSON     ? "json"
			       : type == CASHET_CONTENT_PICKLE ? "pickle"
			       : type == CASHET_CONTENT_RESULT ? "outputs"
							       : "file");
	}
	json_end_object(j);
	return 0;
}

static int value_json(struct arguments *a, const char *text, struct json *j)
{
	struct cashet_error e;
	if (!argument_is_ref(text) && *text != '@')
		return plain_json(a->cli, text, j);
	return argument_special(a->cli->c, text, j, &e) ? cli_fail(a->cli, &e) : 0;
}

int argument_json(struct arguments *a, const char *text, struct buf *out)
{
	struct cli *cli = a->cli;
	CLEANUP(doc_fini) struct doc doc = {0};
	CLEANUP_BUF struct buf whole = {0};
	struct json j;
	size_t size;
	const char *value = split_keyword(cli, text, &size);
	if (!value)
		return CASHET_USAGE;
	if (!utf8_valid(text, strlen(text)))
		return cli_usage(cli, "", "an argument is not UTF-8");
	json_init(&j, out);
	json_string_n(&j, text, size);
	buf_add_str(out, ":");
	json_init(&j, &whole);
	int code =
		is_json(value) ? parse_json(cli, value, &doc) : value_json(a, value, &j);
	if (code)
		return code;
	if (is_json(value)) {
		/* White space between tokens may be line ends; texts have none that is bare. */
		buf_add_str(out, "{\"value\":");
		for (; *value; value++)
			buf_add_byte(out, *value == '\n' || *value == '\r'
						  ? ' '
						  : (uint8_t)*value);
		buf_add_str(out, "}");
	} else {
		buf_add_str(out, buf_cstr(&whole));
	}
	return 0;
}
