/* doc_json.c - JSON to nodes. */
#include "client/batch/doc.h"
#include "common/json_read.h"

#include <string.h>

struct level {
	struct node node;
	size_t first; /* of its members on the stack */
};

static int fail_parse(struct doc *doc, const struct json_reader *r, size_t offset)
{
	return source_fail(&doc->source, offset, doc->e, "not valid JSON: %s",
			   r->message);
}

/* failed_at() - where the reader stopped, as an offset. */
static size_t failed_at(const struct doc *doc, const struct json_reader *r)
{
	const char *text = doc->source.text;
	size_t at = 0, size = doc->source.size;
	for (uint64_t line = r->first_line; line < r->line && at < size; line++) {
		const char *end = memchr(text + at, '\n', size - at);
		at = end ? (size_t)(end - text) + 1 : size;
	}
	for (uint64_t column = 1; column < r->column && at < size; column++)
		do
			at++;
		while (at < size && ((uint8_t)text[at] & 0xc0) == 0x80);
	return at;
}

static int scalar(struct doc *doc, const struct json_token *t, struct node *node)
{
	static const char *const words[] = {
		[JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
	*node = (struct node){.kind = NODE_TEXT, .offset = (uint32_t)t->start};
	if (t->type == JSON_TRUE || t->type == JSON_FALSE || t->type == JSON_NULL) {
		node->text = words[t->type];
		node->count = (uint32_t)strlen(node->text);
		node->empty = t->type == JSON_NULL;
		return 0;
	}
	node->quoted = t->type == JSON_STRING || t->type == JSON_KEY;
	node->text = arena_text(&doc->arena, t->text, t->size);
	node->count = (uint32_t)t->size;
	return node->text ? 0 : doc_no_memory(doc);
}

int doc_parse_json(struct doc *doc)
{
	CLEANUP(json_reader_fini) struct json_reader r;
	CLEANUP(doc_stack_fini) struct doc_stack stack = {0};
	struct level levels[JSON_DEPTH_MAX + 1];
	size_t depth = 0;
	struct json_token t;
	json_reader_init(&r, doc->source.text, doc->source.size);
	r.first_line = doc->source.first_line;
	for (;;) {
		struct node node;
		int e = 0;
		if (json_next(&r, &t))
			return fail_parse(doc, &r, failed_at(doc, &r));
		switch (t.type) {
		case JSON_END:
			doc->root = stack.nodes[0];
			return 0;
		case JSON_OBJECT:
		case JSON_ARRAY:
			levels[depth++] = (struct level){
				.node = {.kind = t.type == JSON_OBJECT ? NODE_MAP
								       : NODE_LIST,
					 .offset = (uint32_t)t.start},
				.first = stack.count};
			continue;
		case JSON_END_OBJECT:
		case JSON_END_ARRAY:
			depth--;
			node = levels[depth].node;
			e = doc_close(doc, &stack, levels[depth].first, &node);
			break;
		case JSON_KEY:
		case JSON_STRING:
		case JSON_INT:
		case JSON_UINT:
		case JSON_DOUBLE:
		case JSON_TRUE:
		case JSON_FALSE:
		case JSON_NULL:
			e = scalar(doc, &t, &node);
			break;
		}
		if (e || (e = doc_push(doc, &stack, &node)))
			return e;
	}
}
