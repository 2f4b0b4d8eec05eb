/* result_call.c - of a call, the arguments that people want to see: those that vary, by their labels, or
 * all of them. A batch may have a million rows, so plain values are read in place; what is nested or
 * no plain value is decoded. */
#include "client/results.h"

#include "common/format/call_args.h"
#include "common/pure/cbor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_LIST = 1, TAG_MAP = 2 }; /* of values: call_args.h */

/* The text of a value is told by its place until all are there: the memory may move. */
static void put_place(struct cashet_value *value, size_t place, bool is_written)
{
	*value = (struct cashet_value){
		.type = CASHET_STRING, .is_written = is_written, .u = place};
}

static void settle(struct row *row, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct cashet_value *v = &row->params[i].value;
		if (v->type == CASHET_STRING)
			v->text = (const char *)row->text.data + v->u;
	}
	row->result.params = row->params;
	row->result.param_count = count;
}

static void put_arg(struct row *row, struct cashet_value *value, const struct arg *a)
{
	size_t place = row->text.size;
	switch (a->type) {
	case ARG_BOOL:
		*value =
			(struct cashet_value){.type = CASHET_BOOL, .boolean = a->boolean};
		return;
	case ARG_INT:
		*value = (struct cashet_value){.type = CASHET_INT, .i = a->i};
		return;
	case ARG_FLOAT:
		*value = (struct cashet_value){.type = CASHET_DOUBLE, .d = a->d};
		return;
	case ARG_TEXT:
		buf_add(&row->text, a->data, a->size);
		break;
	case ARG_NULL:
	case ARG_BYTES:
	case ARG_LIST:
	case ARG_MAP:
	case ARG_REF:
	case ARG_FILE:
		arg_format(&row->text, a);
		break;
	}
	buf_add_byte(&row->text, '\0');
	put_place(value, place, a->type != ARG_TEXT);
}

/* ---- in place ---- */

/* A value that stands alone, as arguments of a call with nothing else. */
static int put_any(struct row *row, struct cashet_value *value, const uint8_t *data,
		   size_t size)
{
	CLEANUP_BUF struct buf alone = {0};
	struct call_args args = {0};
	buf_add(&alone, "\x83\x02\x81", 3);
	buf_add(&alone, data, size);
	buf_add_byte(&alone, 0xa0);
	int rc = alone.failed || call_args_decode(alone.data, alone.size, &args);
	if (!rc)
		put_arg(row, value, &args.positional[0]);
	call_args_fini(&args);
	return rc;
}

static int put_value(struct row *row, struct cashet_value *value, struct cbor_reader *r)
{
	const uint8_t *start = r->at;
	struct cbor_item item;
	struct cbor_reader head = *r;
	if (cbor_read(&head, &item))
		return 1;
	size_t place = row->text.size;
	switch (item.type) {
	case CBOR_BOOL:
		*value = (struct cashet_value){.type = CASHET_BOOL,
					       .boolean = item.boolean};
		return 0;
	case CBOR_UINT:
		*value = (struct cashet_value){.type = CASHET_INT, .i = (int64_t)item.u};
		return item.u > INT64_MAX;
	case CBOR_NEGINT:
		*value = (struct cashet_value){.type = CASHET_INT, .i = item.i};
		return 0;
	case CBOR_DOUBLE:
		*value = (struct cashet_value){.type = CASHET_DOUBLE, .d = item.d};
		return 0;
	case CBOR_TEXT:
		buf_add(&row->text, item.data, item.size);
		buf_add_byte(&row->text, '\0');
		put_place(value, place, false);
		return 0;
	case CBOR_NULL:
	case CBOR_BYTES:
	case CBOR_ARRAY:
	case CBOR_MAP:
		break;
	}
	return cbor_skip(r) || put_any(row, value, start, (size_t)(r->at - start));
}

/* Go to the value of the key with which @label begins. Return: behind it in @label; NULL: none. */
static const char *enter_map(struct cbor_reader *r, const char *label)
{
	uint64_t count;
	if (cbor_read_map(r, &count))
		return NULL;
	for (uint64_t i = 0; i < count; i++) {
		const char *key;
		size_t size;
		if (cbor_read_text(r, &key, &size))
			return NULL;
		if (strncmp(label, key, size) == 0 && strlen(label) >= size &&
		    strchr(".[", label[size]))
			return label + size;
		if (cbor_skip(r))
			return NULL;
	}
	return NULL;
}

static int enter_list(struct cbor_reader *r, uint64_t count, const char **labelp)
{
	char *end;
	unsigned long index = strtoul(*labelp, &end, 10);
	if (end == *labelp || index >= count)
		return 1;
	for (; index; index--)
		if (cbor_skip(r))
			return 1;
	*labelp = end;
	return 0;
}

/* Into a list or map, by what is left of @labelp: ".key", "[3]". */
static int enter(struct cbor_reader *r, const char **labelp)
{
	uint64_t count, tag;
	const char *label = *labelp + 1;
	bool by_index = **labelp == '[';
	if (cbor_read_array(r, &count) || !count || cbor_read_uint(r, &tag) ||
	    tag != (by_index ? TAG_LIST : TAG_MAP))
		return 1;
	if (by_index) {
		if (enter_list(r, count - 1, &label) || *label++ != ']')
			return 1;
	} else if (!(label = enter_map(r, label))) {
		return 1;
	}
	*labelp = label;
	return 0;
}

static int put_label(struct row *row, struct cashet_value *value,
		     const struct cbor_reader *args, const char *label)
{
	struct cbor_reader r = *args;
	uint64_t count;
	if (cbor_read_array(&r, &count))
		return 1;
	if (*label >= '0' && *label <= '9') {
		if (enter_list(&r, count, &label))
			return 1;
	} else {
		for (; count; count--)
			if (cbor_skip(&r))
				return 1;
		if (!(label = enter_map(&r, label)))
			return 1;
	}
	while (*label)
		if (enter(&r, &label))
			return 1;
	return put_value(row, value, &r);
}

static int make_room(struct row *row, size_t count)
{
	if (count > row->param_capacity || !row->params) {
		struct cashet_param *grown =
			reallocarray(row->params, count + 8, sizeof *grown);
		if (!grown)
			return 1;
		row->params = grown;
		row->param_capacity = count + 8;
	}
	buf_reset(&row->text);
	return 0;
}

int row_fill_labels(struct row *row, const void *args, size_t size, char *const *labels,
		    size_t label_count)
{
	struct cbor_reader r;
	uint64_t items, scheme;
	size_t count = 0;
	cbor_reader_init(&r, args, size);
	if (!call_args_begin(args, size) || cbor_read_array(&r, &items) ||
	    cbor_read_uint(&r, &scheme))
		return 0;
	if (make_room(row, label_count))
		return 1;
	for (size_t i = 0; i < label_count; i++) {
		row->params[count].name = labels[i];
		if (!put_label(row, &row->params[count].value, &r, labels[i]))
			count++; /* else this task does not have it */
	}
	settle(row, count);
	return row->text.failed;
}

/* ---- all of them ---- */

static void put_all(struct row *row, const struct arg *items, size_t count,
		    struct cashet_param **top)
{
	for (size_t i = 0; i < count; i++) {
		if (items[i].type == ARG_REF || items[i].type == ARG_FILE)
			continue; /* those are inputs */
		size_t place = row->text.size;
		if (items[i].name)
			buf_add(&row->text, items[i].name, items[i].name_size);
		else
			buf_printf(&row->text, "%zu", i);
		buf_add_byte(&row->text, '\0');
		**top = (struct cashet_param){.name = (const char *)(uintptr_t)place};
		put_arg(row, &(*top)->value, &items[i]);
		++*top;
	}
}

int row_fill_all(struct row *row, const void *args, size_t size)
{
	struct call_args a = {0};
	if (!call_args_begin(args, size))
		return 0;
	if (call_args_decode(args, size, &a) ||
	    make_room(row, a.positional_count + a.keyword_count)) {
		call_args_fini(&a);
		return 1;
	}
	struct cashet_param *top = row->params;
	put_all(row, a.positional, a.positional_count, &top);
	put_all(row, a.keywords, a.keyword_count, &top);
	call_args_fini(&a);
	size_t count = (size_t)(top - row->params);
	for (size_t i = 0; i < count; i++) /* names are told by their places too */
		row->params[i].name =
			(const char *)row->text.data + (uintptr_t)row->params[i].name;
	settle(row, count);
	return row->text.failed;
}
