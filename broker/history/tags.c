/* tags.c - tags of tasks, compared and copied as they were packed by the client: a Function and a
 * BatchInfo both have them as field 4. */
#include "broker/history/parts.h"

#include <string.h>

enum { TAGS = 4 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };

const char *tags_value(const struct history_tags *t, size_t i)
{
	for (size_t k = 0; k < t->any_value_count; k++)
		if (t->any_value[k] == i)
			return NULL;
	return t->pairs[i]->value;
}

static bool is_text(const uint8_t *data, size_t size, const char *text)
{
	return strlen(text) == size && (!size || memcmp(data, text, size) == 0);
}

static bool pair_is(const struct pb_field *pair, const char *key, const char *value)
{
	const uint8_t *at = pair->data, *end = at + pair->size;
	struct pb_field f, k = {0}, v = {0};
	while (pb_next(&at, end, &f)) {
		if (f.type == PB_BYTES && f.number == PAIR_KEY)
			k = f;
		else if (f.type == PB_BYTES && f.number == PAIR_VALUE)
			v = f;
	}
	return is_text(k.data, k.size, key) && (!value || is_text(v.data, v.size, value));
}

static bool has(const uint8_t *message, size_t size, const char *key, const char *value)
{
	const uint8_t *at = message;
	struct pb_field f;
	while (message && pb_find(&at, message + size, TAGS, &f))
		if (pair_is(&f, key, value))
			return true;
	return false;
}

bool tags_fit(const struct history_tags *t, const uint8_t *function, size_t function_size,
	      const uint8_t *info, size_t info_size)
{
	for (size_t i = 0; i < t->count; i++) {
		const char *key = t->pairs[i]->key, *value = tags_value(t, i);
		if (!has(function, function_size, key, value) &&
		    !has(info, info_size, key, value))
			return false;
	}
	return true;
}

/* Copies the tags of @message, but those that @seen has already. */
static void copy(struct buf *out, unsigned field, const uint8_t *message, size_t size,
		 const uint8_t *seen, size_t seen_size)
{
	const uint8_t *at = message;
	struct pb_field f, other;
	while (message && pb_find(&at, message + size, TAGS, &f)) {
		bool twice = false;
		const uint8_t *look = seen;
		while (seen && !twice && pb_find(&look, seen + seen_size, TAGS, &other))
			twice = other.size == f.size &&
				memcmp(other.data, f.data, f.size) == 0;
		if (!twice)
			pb_bytes(out, field, f.data, f.size);
	}
}

void tags_add(struct history *h, struct buf *out, unsigned field,
	      const struct ledger_batch_row *row, uint32_t index)
{
	if (ledger_has_tags(history_reader(h), row->batch.batch) == 1)
		return;
	struct specs *s = history_specs(h, row);
	struct specs_task task;
	size_t size, info_size;
	uint32_t options;
	if (!s || specs_task(s, index, &task))
		return;
	const uint8_t *function = specs_function(s, task.function, &size, &options);
	const uint8_t *info = specs_batch_info(s, &info_size);
	if (!function)
		size = 0;
	copy(out, field, function, size, NULL, 0);
	copy(out, field, info, info_size, function, size);
}
