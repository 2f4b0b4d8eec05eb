/* value.c - see value.h. */
#include "common/format/value.h"

#include "common/format/read.h"
#include "common/num.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void value_fini(struct value *v)
{
	if (!v)
		return;
	if (v->type == VALUE_STRING)
		free(v->text);
	*v = (struct value){0};
}

void value_format(struct buf *out, const struct value *v)
{
	char text[32];
	switch (v->type) {
	case VALUE_BOOL:
		buf_add_str(out, v->boolean ? "true" : "false");
		break;
	case VALUE_INT:
		buf_printf(out, "%" PRId64, v->i);
		break;
	case VALUE_UINT:
		buf_printf(out, "%" PRIu64, v->u);
		break;
	case VALUE_DOUBLE:
		buf_add_str(out, num_format_double(text, v->d));
		break;
	case VALUE_STRING:
		buf_add_str(out, v->text);
		break;
	}
}

void value_encode(struct buf *out, const struct value *v)
{
	switch (v->type) {
	case VALUE_BOOL:
		cbor_add_bool(out, v->boolean);
		break;
	case VALUE_INT:
		cbor_add_int(out, v->i);
		break;
	case VALUE_UINT:
		cbor_add_uint(out, v->u);
		break;
	case VALUE_DOUBLE:
		cbor_add_double(out, v->d);
		break;
	case VALUE_STRING:
		cbor_add_text(out, v->text);
		break;
	}
}

int value_decode(struct cbor_reader *r, struct value *v)
{
	enum cbor_type type;
	if (cbor_peek_type(r, &type))
		return 1;
	struct value value = {.type = VALUE_STRING};
	if (type == CBOR_TEXT) {
		value.text = read_strdup(r);
		if (!value.text)
			return 1;
		*v = value;
		return 0;
	}
	struct cbor_item item;
	if (cbor_read(r, &item))
		return 1;
	if (item.type == CBOR_BOOL)
		value = (struct value){.type = VALUE_BOOL, .boolean = item.boolean};
	else if (item.type == CBOR_UINT && item.u <= INT64_MAX)
		value = (struct value){.type = VALUE_INT, .i = (int64_t)item.u};
	else if (item.type == CBOR_UINT)
		value = (struct value){.type = VALUE_UINT, .u = item.u};
	else if (item.type == CBOR_NEGINT)
		value = (struct value){.type = VALUE_INT, .i = item.i};
	else if (item.type == CBOR_DOUBLE && !isnan(item.d))
		value = (struct value){.type = VALUE_DOUBLE, .d = item.d};
	else
		return 1;
	*v = value;
	return 0;
}

bool value_equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case VALUE_BOOL:
		return a->boolean == b->boolean;
	case VALUE_INT:
		return a->i == b->i;
	case VALUE_UINT:
		return a->u == b->u;
	case VALUE_DOUBLE: /* as encoded: 0.0 is not -0.0 */
		return !memcmp(&a->d, &b->d, sizeof a->d);
	case VALUE_STRING:
		return !strcmp(a->text, b->text);
	}
	return false;
}
