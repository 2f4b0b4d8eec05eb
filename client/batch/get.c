/* get.c - see get.h. */
#include "client/batch/get.h"

#include "client/batch/scalar.h"
#include "common/fs.h"
#include "common/names.h"
#include "common/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SHOWN 60

const char *get_describe(const struct node *node, char out[128])
{
	struct value v;
	if (node->kind == NODE_LIST)
		return "a list";
	if (node->kind == NODE_MAP)
		return "a map";
	if (node->empty)
		return node->count ? "null" : "nothing";
	enum scalar_kind kind = node->quoted ? SCALAR_TEXT : scalar_parse(node->text, &v);
	const char *type = "the text ";
	if (kind == SCALAR_NULL)
		return "null";
	if (kind == SCALAR_VALUE && v.type == VALUE_BOOL)
		return v.boolean ? "true" : "false";
	if (kind != SCALAR_TEXT)
		type = "the number ";
	const char *quote = kind == SCALAR_TEXT ? "\"" : "";
	snprintf(out, 128, "%s%s%.*s%s%s", type, quote, TEXT_SHOWN, node->text,
		 node->count > TEXT_SHOWN ? "..." : "", quote);
	return out;
}

static int fail_type(struct doc *doc, const struct node *node, const char *what,
		     const char *expected)
{
	char found[128];
	return doc_fail(doc, node, "%s must be %s, not %s", what, expected,
			get_describe(node, found));
}

bool get_is_null(const struct node *node)
{
	struct value v;
	return node->kind == NODE_TEXT &&
	       (node->empty ||
		(!node->quoted && scalar_parse(node->text, &v) == SCALAR_NULL));
}

int get_is_list(struct doc *doc, const struct node *node, const char *what)
{
	return node->kind == NODE_LIST ? 0 : fail_type(doc, node, what, "a list");
}

int get_is_map(struct doc *doc, const struct node *node, const char *what)
{
	return node->kind == NODE_MAP ? 0 : fail_type(doc, node, what, "a map");
}

int get_text(struct doc *doc, const struct node *node, const char *what,
	     const char **textp)
{
	if (node->kind != NODE_TEXT || node->empty)
		return fail_type(doc, node, what, "a text");
	*textp = node->text;
	return 0;
}

bool get_is_text(const struct node *node)
{
	struct value v;
	return node->kind == NODE_TEXT && !node->empty &&
	       (node->quoted || scalar_parse(node->text, &v) == SCALAR_TEXT);
}

int get_name(struct doc *doc, const struct node *node, const char *what,
	     const char **namep)
{
	const char *name = NULL;
	int e = get_text(doc, node, what, &name);
	if (e)
		return e;
	if (!names_valid(name, false) || name[0] == '-')
		return doc_fail(doc, node,
				"\"%.*s\" cannot be %s: a name is 1 to 128 of A-Z a-z "
				"0-9 _ - and "
				"does not begin with -",
				TEXT_SHOWN, name, what);
	*namep = name;
	return 0;
}

/* plain_value() - the value of a scalar that was not quoted; SCALAR_TEXT for all else. */
static enum scalar_kind plain_value(const struct node *node, struct value *v)
{
	if (node->kind != NODE_TEXT || node->quoted)
		return SCALAR_TEXT;
	return node->empty ? SCALAR_NULL : scalar_parse(node->text, v);
}

int get_int(struct doc *doc, const struct node *node, const char *what, int64_t min,
	    int64_t max, int64_t *valuep)
{
	struct value v;
	enum scalar_kind kind = plain_value(node, &v);
	bool is_integer =
		kind == SCALAR_OUT_OF_RANGE ||
		(kind == SCALAR_VALUE && (v.type == VALUE_INT || v.type == VALUE_UINT));
	if (!is_integer)
		return fail_type(doc, node, what, "a whole number");
	if (kind != SCALAR_VALUE || v.type != VALUE_INT || v.i < min || v.i > max)
		return doc_fail(doc, node,
				"%s must be from %" PRId64 " to %" PRId64 ", not %.60s",
				what, min, max, node->text);
	*valuep = v.i;
	return 0;
}

int get_uint(struct doc *doc, const struct node *node, const char *what, uint64_t max,
	     uint64_t *valuep)
{
	struct value v;
	if (plain_value(node, &v) == SCALAR_VALUE && v.type == VALUE_UINT && v.u <= max) {
		*valuep = v.u;
		return 0;
	}
	int64_t value;
	int e = get_int(doc, node, what, 0, max > INT64_MAX ? INT64_MAX : (int64_t)max,
			&value);
	if (e)
		return e;
	*valuep = (uint64_t)value;
	return 0;
}

int get_number(struct doc *doc, const struct node *node, const char *what, double *valuep)
{
	struct value v = {.type = VALUE_BOOL};
	enum scalar_kind kind = plain_value(node, &v);
	if (kind == SCALAR_NOT_FINITE || kind == SCALAR_OUT_OF_RANGE)
		return doc_fail(doc, node, "%s must be a finite 64-bit number, not %.60s",
				what, node->text);
	if (kind != SCALAR_VALUE || v.type == VALUE_BOOL)
		return fail_type(doc, node, what, "a number");
	*valuep = v.type == VALUE_DOUBLE ? v.d
		  : v.type == VALUE_INT	 ? (double)v.i
					 : (double)v.u;
	return 0;
}

int get_duration(struct doc *doc, const struct node *node, const char *what,
		 uint64_t *nsp)
{
	bool is_nothing = node->empty && !node->count; /* a value that was forgotten */
	if ((get_is_null(node) && !is_nothing) ||
	    (node->kind == NODE_TEXT && !strcmp(node->text, "none"))) {
		*nsp = 0;
		return 0;
	}
	if (node->kind != NODE_TEXT)
		return fail_type(doc, node, what, "a duration, like 90s, 10m or 1h30m");
	if (!num_parse_duration(node->text, nsp))
		return 0;
	return fail_type(doc, node, what,
			 "a duration, like 90s, 10m or 1h30m (units ms s m h d w)");
}

int get_size(struct doc *doc, const struct node *node, const char *what, uint64_t *bytesp)
{
	if (node->kind != NODE_TEXT || node->empty)
		return fail_type(doc, node, what, "a size, like 512MiB or 1GiB");
	if (!num_parse_size(node->text, bytesp))
		return 0;
	return fail_type(doc, node, what, "a size, like 512MiB or 1GiB");
}

int get_milli(struct doc *doc, const struct node *node, const char *what,
	      uint64_t *millip)
{
	double number;
	int e = get_number(doc, node, what, &number);
	if (e)
		return e;
	if (number < 0 || number > 1e12)
		return doc_fail(doc, node, "%s must be from 0 to 1e12, not %.60s", what,
				node->text);
	double milli = nearbyint(number * 1000);
	if (fabs(milli - number * 1000) > 1e-6 * (milli > 1 ? milli : 1))
		return doc_fail(doc, node, "%s has three decimals at most, unlike %.60s",
				what, node->text);
	*millip = (uint64_t)milli;
	return 0;
}

int get_choice(struct doc *doc, const struct node *node, const char *what,
	       const char *const *choices, unsigned *choicep)
{
	char list[256] = "";
	size_t size = 0;
	unsigned count = 0;
	for (; choices[count]; count++) {
		if (node->kind == NODE_TEXT && !strcmp(node->text, choices[count])) {
			*choicep = count;
			return 0;
		}
		size += (size_t)snprintf(list + size, sizeof list - size, "%s%s",
					 count ? (choices[count + 1] ? ", " : " or ")
					       : "",
					 choices[count]);
	}
	return fail_type(doc, node, what, list);
}

int get_value(struct doc *doc, const struct node *node, const char *what,
	      struct value *valuep)
{
	struct value v;
	if (node->kind != NODE_TEXT)
		return fail_type(doc, node, what, "a number, a text, true or false");
	switch (plain_value(node, &v)) {
	case SCALAR_TEXT:
		*valuep =
			(struct value){.type = VALUE_STRING, .text = (char *)node->text};
		return 0;
	case SCALAR_VALUE:
		*valuep = v;
		return 0;
	case SCALAR_NULL:
		return fail_type(doc, node, what, "a number, a text, true or false");
	case SCALAR_NOT_FINITE:
		return doc_fail(doc, node,
				"%s must be finite, not %.60s; quote it to pass a text",
				what, node->text);
	case SCALAR_OUT_OF_RANGE:
		break;
	}
	return doc_fail(doc, node,
			"%.60s does not fit: integers have 64 bits, and " SCALAR_FLOATS
			"; quote it to pass a text",
			node->text);
}

char *get_tidy_path(struct arena *arena, const char *path)
{
	char *tidy = arena_alloc(arena, strlen(path) + 1);
	if (!tidy)
		return NULL;
	char *to = tidy;
	if (*path == '/')
		*to++ = '/';
	for (const char *at = path; *at;) {
		size_t size = strcspn(at, "/");
		if (size && !(size == 1 && *at == '.')) {
			if (to > tidy && to[-1] != '/')
				*to++ = '/';
			memcpy(to, at, size);
			to += size;
		}
		at += size;
		at += *at == '/';
	}
	*to = '\0';
	return tidy;
}

int get_inside(struct doc *doc, const struct node *node, const char *what,
	       const char **pathp)
{
	const char *path = NULL;
	int e = get_text(doc, node, what, &path);
	if (e)
		return e;
	char *tidy = get_tidy_path(&doc->arena, path);
	if (!tidy)
		return doc_no_memory(doc);
	if (!fs_path_is_inside(tidy))
		return doc_fail(
			doc, node,
			"%s must be a path inside the task's directory, not \"%.*s\"",
			what, TEXT_SHOWN, path);
	if (strstr(tidy, "${"))
		return doc_fail(doc, node,
				"${...} has no meaning in a path: every task has a "
				"directory of its own");
	*pathp = tidy;
	return 0;
}

int get_unknown_key(struct doc *doc, const struct node *key, const char *where,
		    const char *const *keys)
{
	size_t count = 0;
	while (keys[count])
		count++;
	const char *near = names_suggest(key->text, keys, count);
	if (near)
		return doc_fail(doc, key,
				"unknown key \"%.*s\" in %s; did you mean \"%s\"?",
				TEXT_SHOWN, key->text, where, near);
	char list[300] = "";
	size_t size = 0;
	for (size_t i = 0; i < count && size < sizeof list; i++)
		size += (size_t)snprintf(list + size, sizeof list - size, "%s%s",
					 i ? ", " : "", keys[i]);
	return doc_fail(doc, key, "unknown key \"%.*s\" in %s; it may have: %s",
			TEXT_SHOWN, key->text, where, list);
}

int get_keys(struct doc *doc, const struct node *map, const char *where,
	     const char *const *keys, const struct node **values)
{
	int e = get_is_map(doc, map, where);
	if (e)
		return e;
	for (size_t k = 0; keys[k]; k++)
		values[k] = NULL;
	for (uint32_t i = 0; i < map->count; i++) {
		const struct node *key = &map->pairs[i].key;
		size_t k = 0;
		while (keys[k] && strcmp(keys[k], key->text))
			k++;
		if (!keys[k])
			return get_unknown_key(doc, key, where, keys);
		values[k] = &map->pairs[i].value;
	}
	return 0;
}
