/* doc.h - a batch file as a tree of nodes, the same for YAML and JSON.
 *
 * A scalar is a text and the knowledge whether it was quoted; what it means is decided by who
 * reads it (get.h), so "1.20" stays a text and 1.20 becomes a number where a number is asked
 * for. Every node knows its byte in the source, so every error can point at it. Keys are unique;
 * depth is at most DOC_DEPTH_MAX. Aliases share nodes, and what they would expand to is bounded. */
#pragma once

#include "client/batch/arena.h"
#include "client/batch/source.h"

#define DOC_DEPTH_MAX 64
#define DOC_NODES_MAX 16000000u
#define DOC_ALIAS_MAX 1000000u /* nodes that all aliases of a file may stand for */

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node_pair;
struct node {
	uint8_t kind;	 /* enum node_kind */
	bool quoted;	 /* TEXT: a string for certain */
	bool empty;	 /* TEXT: JSON's null, or nothing at all in YAML */
	uint32_t offset; /* of its first byte in the source */
	uint32_t count;	 /* bytes of text, members of a list, pairs of a map */
	union {
		const char *text; /* NUL-terminated, no NUL inside */
		const struct node *items;
		const struct node_pair *pairs;
	};
};
struct node_pair {
	struct node key, value; /* key: TEXT */
};

struct doc {
	struct source_text source;
	struct arena arena;
	struct node root;
	uint32_t nodes; /* so far */
	struct err *e;	/* of the call that is under way */
};

/* Both fill doc->root from doc->source. Return: 0, ERR_USAGE or ERR_FAILED in doc->e. */
int doc_parse_yaml(struct doc *doc);
int doc_parse_json(struct doc *doc);
void doc_fini(struct doc *doc);

/** doc_fail() - an error at a node. Return: ERR_USAGE. */
int doc_fail(const struct doc *doc, const struct node *node, const char *fmt, ...)
	PRINTF(3, 4);
/** doc_fail_within() - as doc_fail(), at the first place of @part in the node, if it is there. */
int doc_fail_within(const struct doc *doc, const struct node *node, const char *part,
		    size_t part_size, const char *fmt, ...) PRINTF(5, 6);
int doc_no_memory(const struct doc *doc);
const struct node *node_find(const struct node *map, const char *key); /* or NULL */

/* What both parsers share: containers that are open, their members on one stack. */
struct doc_stack {
	struct node *nodes;
	size_t count, capacity;
};
void doc_stack_fini(struct doc_stack *s);
int doc_push(struct doc *doc, struct doc_stack *s, const struct node *node);
/** doc_close() - the nodes from @first on become the members of @node (kind and offset set) and
 * leave the stack; refuses duplicate keys. Return: as doc_parse_yaml(). */
int doc_close(struct doc *doc, struct doc_stack *s, size_t first, struct node *node);
