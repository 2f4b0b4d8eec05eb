/* json.c - see json.h. Both texts become arrays of nodes, in the order of the text, each node with the
 * number of nodes below it; so a value is a run of nodes, and nothing is a pointer. */
#include "client/diff/json.h"

#include "common/json_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 200 /* bytes of a value */
#define FOUND_MAX                                                                        \
	10000 /* then it is enough: finding members that are not there takes long */

struct node {
	enum json_type type;
	size_t start, end;	/* of the value, in the text */
	size_t name, name_size; /* of a member, in @names */
	uint32_t next;		/* node behind this value */
};

struct doc {
	const char *text;
	struct node *nodes;
	uint32_t count, capacity;
	struct buf names;
};

static void doc_fini(struct doc *d)
{
	free(d->nodes);
	buf_fini(&d->names);
}

static int add_node(struct doc *d, const struct node *node)
{
	if (d->count == d->capacity) {
		uint32_t capacity = d->capacity ? 2 * d->capacity : 64;
		struct node *nodes = reallocarray(d->nodes, capacity, sizeof *nodes);
		if (!nodes)
			return -ENOMEM;
		d->nodes = nodes;
		d->capacity = capacity;
	}
	d->nodes[d->count++] = *node;
	return 0;
}

/* Return: 0, 1 not JSON, -ENOMEM. */
static int read_doc(struct doc *d, const void *data, size_t size)
{
	struct json_reader r;
	struct json_token t;
	struct node next = {0};
	uint32_t open[JSON_DEPTH_MAX + 1];
	size_t depth = 0;
	int rc = 0;
	d->text = data;
	json_reader_init(&r, data, size);
	while (rc == 0 && json_next(&r, &t) == 0 && t.type != JSON_END) {
		if (t.type == JSON_KEY) {
			next = (struct node){.name = d->names.size, .name_size = t.size};
			buf_add(&d->names, t.text, t.size);
			continue;
		}
		if (t.type == JSON_END_OBJECT || t.type == JSON_END_ARRAY) {
			struct node *container = &d->nodes[open[--depth]];
			container->end = t.end;
			container->next = d->count;
			continue;
		}
		next.type = t.type;
		next.start = t.start;
		next.end = t.end;
		next.next = d->count + 1;
		rc = add_node(d, &next);
		if (rc == 0 && (t.type == JSON_OBJECT || t.type == JSON_ARRAY))
			open[depth++] = d->count - 1;
		next = (struct node){0};
	}
	if (rc == 0 && r.failed)
		rc = 1;
	json_reader_fini(&r);
	return d->names.failed ? -ENOMEM : rc;
}

/* ---- comparing ---- */

struct pair { /* values to be compared */
	uint32_t a, b;
	size_t path; /* size of the path up to their container's */
};

struct compare {
	struct doc a, b;
	struct buf *out;
	struct buf path;
	int64_t found;
	bool no_memory;
};

static void show(struct buf *out, const struct doc *d, uint32_t at)
{
	const struct node *n = &d->nodes[at];
	size_t size = n->end - n->start;
	buf_add(out, d->text + n->start, size < SHOWN_MAX ? size : SHOWN_MAX);
	if (size >= SHOWN_MAX)
		buf_printf(out, "... (%zu bytes)", size);
}

/* One line per difference: line ends inside of containers become spaces. */
static void flatten(struct buf *out, size_t from)
{
	for (size_t i = from; !out->failed && i < out->size; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
}

static void report(struct compare *c, const uint32_t *a, const uint32_t *b)
{
	if (++c->found > JSON_DIFF_LINES)
		return;
	size_t from = c->out->size;
	buf_add_str(c->out, a && b ? "" : a ? "- " : "+ ");
	buf_add_str(c->out, c->path.size ? buf_cstr(&c->path) : "(all)");
	buf_add_str(c->out, ": ");
	if (a)
		show(c->out, &c->a, *a);
	if (a && b)
		buf_add_str(c->out, " -> ");
	if (b)
		show(c->out, &c->b, *b);
	flatten(c->out, from);
	buf_add_byte(c->out, '\n');
}

static bool same_text(const struct compare *c, uint32_t a, uint32_t b)
{
	const struct node *x = &c->a.nodes[a], *y = &c->b.nodes[b];
	size_t size = x->end - x->start;
	return size == y->end - y->start &&
	       !memcmp(c->a.text + x->start, c->b.text + y->start, size);
}

static const char *name_of(const struct doc *d, uint32_t at)
{
	return (const char *)d->names.data + d->nodes[at].name;
}

static bool same_name(const struct doc *a, uint32_t x, const struct doc *b, uint32_t y)
{
	return a->nodes[x].name_size == b->nodes[y].name_size &&
	       !memcmp(name_of(a, x), name_of(b, y), a->nodes[x].name_size);
}

/* The member of the object @object of @in that is called as @x of @of; 0: none. Members mostly come
 * in the same order, so the search goes on from @from and round. */
static uint32_t find_member(const struct doc *in, uint32_t object, uint32_t from,
			    const struct doc *of, uint32_t x)
{
	uint32_t end = in->nodes[object].next;
	for (uint32_t i = from; i < end; i = in->nodes[i].next)
		if (same_name(in, i, of, x))
			return i;
	for (uint32_t i = object + 1; i < from && i < end; i = in->nodes[i].next)
		if (same_name(in, i, of, x))
			return i;
	return 0;
}

static size_t push_name(struct compare *c, const struct doc *d, uint32_t at)
{
	size_t before = c->path.size;
	if (before)
		buf_add_byte(&c->path, '.');
	buf_add(&c->path, name_of(d, at), d->nodes[at].name_size);
	return before;
}

static void compare_value(struct compare *c, uint32_t a, uint32_t b);

static void compare_members(struct compare *c, uint32_t a, uint32_t b)
{
	uint32_t hint = b + 1;
	for (uint32_t i = a + 1; i < c->a.nodes[a].next && c->found < FOUND_MAX;
	     i = c->a.nodes[i].next) {
		size_t before = push_name(c, &c->a, i);
		uint32_t other = find_member(&c->b, b, hint, &c->a, i);
		if (other) {
			compare_value(c, i, other);
			hint = c->b.nodes[other].next;
		} else {
			report(c, &i, NULL);
		}
		c->path.size = before;
	}
	hint = a + 1;
	for (uint32_t i = b + 1; i < c->b.nodes[b].next && c->found < FOUND_MAX;
	     i = c->b.nodes[i].next) {
		uint32_t other = find_member(&c->a, a, hint, &c->b, i);
		if (other) {
			hint = c->a.nodes[other].next;
			continue;
		}
		size_t before = push_name(c, &c->b, i);
		report(c, NULL, &i);
		c->path.size = before;
	}
}

static void compare_items(struct compare *c, uint32_t a, uint32_t b)
{
	uint32_t i = a + 1, k = b + 1, a_end = c->a.nodes[a].next,
		 b_end = c->b.nodes[b].next;
	for (size_t n = 0; i < a_end || k < b_end; n++) {
		size_t before = c->path.size;
		buf_printf(&c->path, "[%zu]", n);
		if (i < a_end && k < b_end)
			compare_value(c, i, k);
		else
			report(c, i < a_end ? &i : NULL, k < b_end ? &k : NULL);
		i = i < a_end ? c->a.nodes[i].next : i;
		k = k < b_end ? c->b.nodes[k].next : k;
		c->path.size = before;
	}
}

/* As deep as the texts nest: JSON_DEPTH_MAX. */
static void compare_value(struct compare *c, uint32_t a, uint32_t b)
{
	enum json_type x = c->a.nodes[a].type, y = c->b.nodes[b].type;
	if (same_text(c, a, b))
		return;
	if (x == JSON_OBJECT && y == JSON_OBJECT)
		compare_members(c, a, b);
	else if (x == JSON_ARRAY && y == JSON_ARRAY)
		compare_items(c, a, b);
	else
		report(c, &a, &b);
}

int64_t json_diff(struct buf *out, const void *a, size_t a_size, const void *b,
		  size_t b_size)
{
	struct compare c = {.out = out};
	int rc = read_doc(&c.a, a, a_size);
	if (rc == 0)
		rc = read_doc(&c.b, b, b_size);
	if (rc == 0 && c.a.count && c.b.count) {
		compare_value(&c, 0, 0);
		if (c.found > JSON_DIFF_LINES)
			buf_printf(out, "and %s%lld more differences\n",
				   c.found < FOUND_MAX ? "" : "at least ",
				   (long long)(c.found - JSON_DIFF_LINES));
		rc = c.path.failed || out->failed ? -ENOMEM : 0;
	}
	doc_fini(&c.a);
	doc_fini(&c.b);
	buf_fini(&c.path);
	return rc > 0 ? -1 : rc < 0 ? rc : c.found;
}
