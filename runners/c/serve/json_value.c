/* json_value.c - the JSON that another task returned, as a tree of arguments. */
#include "runners/c/serve/task.h"

#include "common/json_read.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

static int read_value(struct cashet_task *t, struct json_reader *r,
		      const struct json_token *token, struct cashet_arg *arg);

/* Members of a container, whose number is known at its end. */
struct items {
	struct cashet_arg *list;
	size_t count, capacity;
};

static void items_fini(struct items *items)
{
	free(items->list);
}

static struct cashet_arg *items_add(struct items *items)
{
	mem_grow(items->list, items->count, items->capacity);
	return &items->list[items->count++];
}

/* adopt() - children know their parents by address; now they have one. */
static void adopt(struct cashet_arg *arg)
{
	for (size_t i = 0; i < arg->count; i++) {
		struct cashet_arg *child = &arg->items[i];
		child->parent = arg;
		if (child->type != CASHET_TYPE_LIST && child->type != CASHET_TYPE_MAP)
			continue;
		for (size_t k = 0; k < child->count; k++)
			child->items[k].parent = child;
	}
}

static int read_items(struct cashet_task *t, struct json_reader *r,
		      struct cashet_arg *arg)
{
	CLEANUP(items_fini) struct items items = {0};
	struct json_token token;
	bool map = arg->type == CASHET_TYPE_MAP;
	for (;;) {
		if (json_next(r, &token))
			return 1;
		if (token.type == JSON_END_ARRAY || token.type == JSON_END_OBJECT)
			break;
		struct cashet_arg child = {.task = t, .position = items.count};
		if (map) {
			if (memchr(token.text, '\0', token.size))
				return 1; /* nobody could ask for it */
			child.key = arena_copy(&t->arena, token.text, token.size);
			if (json_next(r, &token))
				return 1;
		}
		if (read_value(t, r, &token, &child))
			return 1;
		*items_add(&items) = child;
	}
	arg->count = items.count;
	arg->items = arena_alloc(&t->arena, items.count * sizeof *arg->items);
	if (items.count)
		memcpy(arg->items, items.list, items.count * sizeof *arg->items);
	adopt(arg);
	return 0;
}

static int read_value(struct cashet_task *t, struct json_reader *r,
		      const struct json_token *token, struct cashet_arg *arg)
{
	switch (token->type) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		arg->type =
			token->type == JSON_OBJECT ? CASHET_TYPE_MAP : CASHET_TYPE_LIST;
		return read_items(t, r, arg);
	case JSON_STRING:
		arg->type = CASHET_TYPE_TEXT;
		arg->data = arena_copy(&t->arena, token->text, token->size);
		arg->size = token->size;
		return 0;
	case JSON_INT:
		arg->type = CASHET_TYPE_INT;
		arg->i = token->i;
		return 0;
	case JSON_UINT:
		arg->type = CASHET_TYPE_FLOAT;
		arg->d = (double)token->u;
		return 0;
	case JSON_DOUBLE:
		arg->type = CASHET_TYPE_FLOAT;
		arg->d = token->d;
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		arg->type = CASHET_TYPE_BOOL;
		arg->boolean = token->type == JSON_TRUE;
		return 0;
	case JSON_NULL:
		arg->type = CASHET_TYPE_NULL;
		return 0;
	case JSON_END_OBJECT:
	case JSON_END_ARRAY:
	case JSON_KEY:
	case JSON_END:
		break;
	}
	return 1;
}

int json_value_read(struct cashet_task *t, struct cashet_arg *arg, const void *data,
		    size_t size)
{
	struct json_reader r;
	struct json_token token;
	json_reader_init(&r, data, size);
	r.takes_nan = r.takes_nul = true;
	int status = json_next(&r, &token) || read_value(t, &r, &token, arg) ||
		     json_next(&r, &token) || token.type != JSON_END;
	json_reader_fini(&r);
	return status;
}
