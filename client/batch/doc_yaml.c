/* doc_yaml.c - YAML to nodes, from libyaml's events.
 *
 * libyaml only cuts the text into events: which plain scalar is a number or true is decided by
 * who reads the node, by the core schema of YAML 1.2. Anchors and aliases share nodes; what all
 * aliases together stand for is counted, so a file of a kilobyte cannot become a gigabyte. */
#include "client/batch/doc.h"
#include "client/batch/map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
	struct node node;
	uint64_t weight; /* nodes that it stands for, its own aliases expanded */
	unsigned height; /* levels of containers in it */
	bool open;	 /* its node has not ended */
};

struct level {
	struct node node;
	size_t first;	 /* of its members on the stack */
	uint32_t anchor; /* number + 1, or 0 */
	uint64_t weight;
	unsigned height;
};

struct yaml {
	struct doc *doc;
	yaml_parser_t parser;
	struct doc_stack stack;
	struct level levels[DOC_DEPTH_MAX];
	unsigned depth;
	struct anchor *anchors;
	uint32_t anchor_count, anchor_capacity;
	struct map anchor_names;
	uint64_t alias_weight;
	unsigned documents;
	size_t mark_index, mark_offset; /* a character that was found, and its byte */
};

static bool is_tail(const char *at)
{
	return ((uint8_t)*at & 0xc0) == 0x80;
}

/* offset_of() - libyaml counts characters; marks are near each other, so walk from the last. */
static size_t offset_of(struct yaml *y, const yaml_mark_t *mark)
{
	const char *text = y->doc->source.text;
	size_t at = y->mark_offset, size = y->doc->source.size, index = y->mark_index;
	for (; index < mark->index && at < size; index++)
		do
			at++;
		while (at < size && is_tail(text + at));
	for (; index > mark->index && at > 0; index--)
		do
			at--;
		while (at > 0 && is_tail(text + at));
	y->mark_index = index;
	y->mark_offset = at;
	return at;
}

/* begins_substitution() - is the bracket at which YAML is at its wits' end that of a ${...}? */
static bool begins_substitution(const struct source_text *s, size_t offset)
{
	return offset > 0 && offset < s->size && s->text[offset] == '{' &&
	       s->text[offset - 1] == '$';
}

static int fail_syntax(struct yaml *y)
{
	yaml_parser_t *p = &y->parser;
	const struct source_text *s = &y->doc->source;
	const char *problem = p->problem ? p->problem : "unreadable";
	if (p->error == YAML_MEMORY_ERROR)
		return doc_no_memory(y->doc);
	if (p->error == YAML_READER_ERROR)
		return source_fail(s, p->problem_offset, y->doc->e, "not valid YAML: %s",
				   problem);
	size_t offset = offset_of(y, &p->problem_mark);
	if (offset < s->size && s->text[offset] == '\t')
		return source_fail(s, offset, y->doc->e,
				   "not valid YAML: a tab where only spaces may indent");
	if (begins_substitution(s, offset))
		return source_fail(
			s, offset, y->doc->e,
			"not valid YAML: between [ ] and { } a text with ${...} must be "
			"quoted: \"${p.lr}\"");
	if (!p->context || p->context_mark.line == p->problem_mark.line)
		return source_fail(s, offset, y->doc->e, "not valid YAML: %s%s%s",
				   problem, p->context ? " " : "",
				   p->context ? p->context : "");
	return source_fail(s, offset, y->doc->e,
			   "not valid YAML: %s %s that begins in line %zu", problem,
			   p->context, p->context_mark.line + 1);
}

/* ---- nodes */

/* add_node() - a finished node: to its parent, and to its anchor. */
static int add_node(struct yaml *y, const struct node *node, uint32_t anchor,
		    uint64_t weight, unsigned height)
{
	if (anchor) {
		struct anchor *a = &y->anchors[anchor - 1];
		*a = (struct anchor){.node = *node, .weight = weight, .height = height};
	}
	if (y->depth) {
		struct level *parent = &y->levels[y->depth - 1];
		parent->weight += weight;
		if (parent->height < height)
			parent->height = height;
	}
	return doc_push(y->doc, &y->stack, node);
}

/* begin_anchor() - @number: its number + 1, or 0 without an anchor. A later one of the same name
 * replaces it, as YAML has it. */
static int begin_anchor(struct yaml *y, const yaml_char_t *name, uint32_t *number)
{
	*number = 0;
	if (!name)
		return 0;
	size_t size = strlen((const char *)name);
	char *copy = arena_text(&y->doc->arena, (const char *)name, size);
	if (y->anchor_count == y->anchor_capacity) {
		uint32_t capacity = y->anchor_capacity ? 2 * y->anchor_capacity : 16;
		struct anchor *anchors = realloc(y->anchors, capacity * sizeof *anchors);
		if (!anchors)
			return doc_no_memory(y->doc);
		y->anchors = anchors;
		y->anchor_capacity = capacity;
	}
	if (!copy || map_put(&y->anchor_names, copy, size, y->anchor_count))
		return doc_no_memory(y->doc);
	y->anchors[y->anchor_count++] = (struct anchor){.open = true};
	*number = y->anchor_count;
	return 0;
}

static int on_alias(struct yaml *y, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	size_t offset = offset_of(y, &event->start_mark);
	const struct source_text *s = &y->doc->source;
	uint32_t *number = map_find(&y->anchor_names, name, strlen(name));
	if (!number)
		return source_fail(s, offset, y->doc->e,
				   "unknown alias *%.80s: no &%.80s before it", name,
				   name);
	struct anchor anchor = y->anchors[*number];
	if (anchor.open)
		return source_fail(s, offset, y->doc->e,
				   "alias *%.80s is inside of what it stands for", name);
	y->alias_weight += anchor.weight;
	if (y->alias_weight > DOC_ALIAS_MAX)
		return source_fail(
			s, offset, y->doc->e,
			"the aliases of this file stand for more than %u nodes",
			DOC_ALIAS_MAX);
	if (y->depth + anchor.height > DOC_DEPTH_MAX)
		return source_fail(s, offset, y->doc->e, "nested deeper than %d levels",
				   DOC_DEPTH_MAX);
	anchor.node.offset = (uint32_t)offset;
	return add_node(y, &anchor.node, 0, anchor.weight, anchor.height);
}

/* is_key() - the next node is the key of a pair. */
static bool is_key(const struct yaml *y)
{
	if (!y->depth)
		return false;
	const struct level *level = &y->levels[y->depth - 1];
	return level->node.kind == NODE_MAP && (y->stack.count - level->first) % 2 == 0;
}

static int check_tag(struct yaml *y, size_t offset, const yaml_char_t *tag,
		     const char *allowed)
{
	if (!tag || !strcmp((const char *)tag, "!") ||
	    !strcmp((const char *)tag, allowed))
		return 0;
	return source_fail(&y->doc->source, offset, y->doc->e,
			   "tag \"%.80s\" has no meaning here", (const char *)tag);
}

static int on_scalar(struct yaml *y, const yaml_event_t *event)
{
	size_t offset = offset_of(y, &event->start_mark);
	const char *value = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;
	const struct source_text *s = &y->doc->source;
	int e = check_tag(y, offset, event->data.scalar.tag, YAML_STR_TAG);
	if (e)
		return e;
	if (memchr(value, 0, size))
		return source_fail(s, offset, y->doc->e,
				   "a text cannot hold a zero byte");
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		     !event->data.scalar.tag;
	if (plain && is_key(y) && !strcmp(value, "<<")) {
		e = source_fail(s, offset, y->doc->e,
				"merge keys (<<) are not supported");
		err_next(y->doc->e, "put what tasks share under \"defaults\"");
		return e;
	}
	/* A tag or an anchor begins the event; the caret belongs to the text. */
	uint32_t anchor;
	if ((e = begin_anchor(y, event->data.scalar.anchor, &anchor)))
		return e;
	struct node node = {.kind = NODE_TEXT,
			    .quoted = !plain,
			    .empty = plain && size == 0,
			    .offset = (uint32_t)offset,
			    .count = (uint32_t)size,
			    .text = arena_text(&y->doc->arena, value, size)};
	if (!node.text)
		return doc_no_memory(y->doc);
	return add_node(y, &node, anchor, 1, 0);
}

static int on_start(struct yaml *y, const yaml_event_t *event, bool is_map)
{
	size_t offset = offset_of(y, &event->start_mark);
	const yaml_char_t *anchor_name = is_map ? event->data.mapping_start.anchor
						: event->data.sequence_start.anchor;
	const yaml_char_t *tag =
		is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	int e = check_tag(y, offset, tag, is_map ? YAML_MAP_TAG : YAML_SEQ_TAG);
	if (e)
		return e;
	if (is_key(y))
		return source_fail(&y->doc->source, offset, y->doc->e,
				   "a key is a text, not a %s", is_map ? "map" : "list");
	if (y->depth == DOC_DEPTH_MAX)
		return source_fail(&y->doc->source, offset, y->doc->e,
				   "nested deeper than %d levels", DOC_DEPTH_MAX);
	uint32_t anchor;
	if ((e = begin_anchor(y, anchor_name, &anchor)))
		return e;
	y->levels[y->depth++] =
		(struct level){.node = {.kind = is_map ? NODE_MAP : NODE_LIST,
					.offset = (uint32_t)offset},
			       .first = y->stack.count,
			       .anchor = anchor,
			       .weight = 1};
	return 0;
}

static int on_end(struct yaml *y)
{
	struct level level = y->levels[--y->depth];
	int e = doc_close(y->doc, &y->stack, level.first, &level.node);
	return e ? e
		 : add_node(y, &level.node, level.anchor, level.weight, level.height + 1);
}

static int on_document(struct yaml *y, const yaml_event_t *event)
{
	if (y->documents++ == 0)
		return 0;
	return source_fail(&y->doc->source, offset_of(y, &event->start_mark), y->doc->e,
			   "a batch file is one YAML document; this begins another");
}

static int on_event(struct yaml *y, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	case YAML_DOCUMENT_START_EVENT:
		return on_document(y, event);
	case YAML_ALIAS_EVENT:
		return is_key(y) ? source_fail(&y->doc->source,
					       offset_of(y, &event->start_mark),
					       y->doc->e, "an alias cannot be a key")
				 : on_alias(y, event);
	case YAML_SCALAR_EVENT:
		return on_scalar(y, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(y, event, false);
	case YAML_MAPPING_START_EVENT:
		return on_start(y, event, true);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(y);
	}
	return 0;
}

static void yaml_fini(struct yaml *y)
{
	yaml_parser_delete(&y->parser);
	doc_stack_fini(&y->stack);
	free(y->anchors);
	map_fini(&y->anchor_names);
}

int doc_parse_yaml(struct doc *doc)
{
	CLEANUP(yaml_fini) struct yaml y = {.doc = doc};
	if (!yaml_parser_initialize(&y.parser))
		return doc_no_memory(doc);
	yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&y.parser, (const unsigned char *)doc->source.text,
				     doc->source.size);
	for (bool end = false; !end;) {
		yaml_event_t event;
		if (!yaml_parser_parse(&y.parser, &event))
			return fail_syntax(&y);
		int e = on_event(&y, &event);
		end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (e)
			return e;
	}
	if (!y.documents)
		return err_set(doc->e, ERR_USAGE, "%s: the file has no content",
			       doc->source.name);
	doc->root = y.stack.nodes[0];
	return 0;
}
