/* order.c - the order in which a compiler comes by: it decides which of several #defines a name has where a
 * statement stands, and what of them the system's headers have seen. Where a file is included many
 * times, all that stands in it is taken to count everywhere: then nothing is said of the order. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200 /* as compilers have it */

struct walk {
	struct unit *u;
	order_visit *fn;
	uint32_t order;
	bool *seen; /* by file */
};

static int walk_file(struct walk *w, uint32_t file, int depth)
{
	const struct unit_file *f = &w->u->files[file];
	if (w->seen[file] || !f->text || depth == 0)
		return 0;
	w->seen[file] = true;
	for (uint32_t i = 0; i < f->text->count; i++) {
		const struct token *t = &f->text->tokens[i];
		if (f->off[i])
			continue;
		if (w->fn(w->u, file, i, ++w->order))
			return 1;
		if (t->kind != C_TOKEN_HASH || (t[1].atom != w->u->d->a_include &&
						t[1].atom != w->u->d->a_include_next))
			continue;
		uint32_t in = unit_included(w->u, file, t->start);
		if (in && walk_file(w, in - 1, depth - 1))
			return 1;
	}
	return 0;
}

int order_walk(struct unit *u, order_visit *fn)
{
	struct walk w = {.u = u, .fn = fn};
	int status = 0;
	w.seen = mem_alloc((u->file_count + 1) * sizeof *w.seen);
	for (uint32_t i = 0; i < u->file_count && !status; i++)
		status = walk_file(&w, i, DEPTH_MAX); /* #import, too */
	free(w.seen);
	return status;
}

/* ---- statements */

static int visit(struct unit *u, uint32_t file, uint32_t token, uint32_t order)
{
	size_t low = 0, high = u->statement_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct statement *s = &u->statements[middle];
		if (s->file < file || (s->file == file && s->first < token))
			low = middle + 1;
		else
			high = middle;
	}
	struct statement *s = low < u->statement_count ? &u->statements[low] : NULL;
	if (s && s->file == file && s->first == token && !u->files[file].many)
		s->order = order;
	return 0;
}

void order_statements(struct unit *u)
{
	order_walk(u, visit);
}

/* ---- headers of the system's */

void order_include(struct unit *u, uint32_t file, uint32_t hash, uint32_t order)
{
	const struct text *t = u->files[file].text;
	const struct token *name = &t->tokens[hash + 2];
	uint32_t in = unit_included(u, file, t->tokens[hash].start);
	if ((in && u->files[in - 1].text) || name->kind != C_TOKEN_HEADER ||
	    name->text[0] != '<')
		return;
	if (!u->system_first)
		u->system_first = order;
	if (name->size != strlen("<assert.h>") ||
	    memcmp(name->text, "<assert.h>", name->size))
		return;
	mem_grow(u->asserts, u->assert_count, u->assert_capacity);
	u->asserts[u->assert_count++] = order;
}

/* ---- what a macro is at a place */

struct state {
	bool is_defined;
	uint32_t count; /* of #defines before */
	bool none;	/* nothing was said of it before */
};

static struct state state_at(const struct unit *u, const struct macro *m, uint32_t order)
{
	struct state s = {.is_defined = m->is_flag, .none = true};
	for (uint32_t n = m->first; n; n = u->defines[n - 1].next) {
		const struct define *def = &u->defines[n - 1];
		if (def->order > order)
			break;
		s.none = false;
		s.is_defined = !def->undoes;
		s.count += !def->undoes;
	}
	return s;
}

/* write_headers() - what the system's headers have seen of it. */
static void write_headers(const struct unit *u, const struct macro *m, struct buf *out)
{
	bool same = true;
	if (strcmp(atoms_text(&u->d->atoms, m->atom), "NDEBUG")) {
		if (u->system_first && u->defines[m->first - 1].order > u->system_first)
			buf_add_str(out, "  behind #include <>\n");
		return;
	}
	for (size_t i = 0; i < u->assert_count; i++)
		same &= state_at(u, m, u->asserts[i]).is_defined;
	if (same)
		return;
	buf_add_str(out, "  at <assert.h>");
	for (size_t i = 0; i < u->assert_count; i++)
		buf_add_str(out,
			    state_at(u, m, u->asserts[i]).is_defined ? " on" : " off");
	buf_add_byte(out, '\n');
}

struct asked {
	struct describer *d;
	const struct statement *s;
	uint32_t *seen; /* by node: asked already */
	struct buf *out;
};

static void write_state(struct asked *a, const struct unit *u, const struct macro *m)
{
	const struct define *first = &u->defines[m->first - 1];
	if (m->many || (!first->next && !first->undoes && first->order < a->s->order))
		return;
	struct state state = state_at(u, m, a->s->order);
	buf_printf(a->out, "  where %s is ", atoms_text(&u->d->atoms, m->atom));
	if (state.none)
		buf_add_str(a->out, "not yet defined\n");
	else if (state.is_defined)
		buf_printf(a->out, "#%u\n", state.count);
	else
		buf_add_str(a->out, "undefined\n");
}

/* ask() - of the macros that this node names, and those that they name. */
static void ask(struct asked *a, const struct node *n)
{
	for (size_t i = 0; i < n->ref_count; i++) {
		const struct node *to = &a->d->nodes[n->refs[i]];
		if (!to->is_macro || to->unit != n->unit || a->seen[n->refs[i]])
			continue;
		a->seen[n->refs[i]] = 1;
		write_state(a, to->unit, &to->unit->macros[to->number]);
		ask(a, to);
	}
}

void order_write(struct describer *d, struct node *n)
{
	const struct unit *u = n->unit;
	if (n->is_macro) {
		const struct macro *m = &u->macros[n->number];
		if (m->is_effect && !m->many)
			write_headers(u, m, &n->own);
		return;
	}
	const struct statement *s = &u->statements[n->number];
	if (!s->order)
		return;
	struct asked a = {.d = d, .s = s, .out = &n->own};
	a.seen = mem_alloc((d->node_count + 1) * sizeof *a.seen);
	ask(&a, n);
	free(a.seen);
}
