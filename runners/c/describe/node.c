/* node.c - what is reached, by what it is called and where it is. A statement of several declarations is
 * called after the one that says most: a function before a variable, that before a type. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

static int rank(const struct declaration *d)
{
	switch (d->atom ? d->kind : CXCursor_InvalidFile) {
	case CXCursor_FunctionDecl:
		return 5;
	case CXCursor_VarDecl:
		return 4;
	case CXCursor_TypedefDecl:
		return 3;
	case CXCursor_InvalidFile: /* no name */
		return 0;
	case CXCursor_EnumConstantDecl:
		return 1;
	default:
		return 2;
	}
}

/* title_of() - what a statement of several declarations is called after. */
static const struct declaration *title_of(const struct unit *u, const struct statement *s)
{
	const struct declaration *best = &u->declarations[s->declarations];
	for (uint32_t i = 1; i < s->declaration_count; i++) {
		const struct declaration *d = &u->declarations[s->declarations + i];
		if (d->nested && rank(best) > 0)
			continue;
		if (rank(d) > rank(best) || (rank(d) == rank(best) && d->end < best->end))
			best = d;
	}
	return best;
}

static const char *kind_of(const struct declaration *d)
{
	switch (d->kind) {
	case CXCursor_FunctionDecl:
		return "function";
	case CXCursor_VarDecl:
		return "variable";
	case CXCursor_TypedefDecl:
		return "typedef";
	case CXCursor_StructDecl:
		return "struct";
	case CXCursor_UnionDecl:
		return "union";
	case CXCursor_EnumDecl:
	case CXCursor_EnumConstantDecl:
		return "enum";
	case CXCursor_StaticAssert:
		return "assertion";
	default:
		return "statement";
	}
}

static void title_statement(struct node *n, const struct statement *s)
{
	const struct unit *u = n->unit;
	const struct declaration *title = title_of(u, s);
	const struct text *t = u->files[s->file].text;
	n->kind = kind_of(title);
	n->name = title->atom ? atoms_text(&u->d->atoms, title->atom) : "unnamed";
	n->path = t->path;
	n->line = t->tokens[text_at(t, title->start)].line;
	n->start = t->tokens[s->first].start;
}

static void title_macro(struct node *n, const struct macro *m)
{
	const struct unit *u = n->unit;
	const struct define *def = &u->defines[m->first - 1];
	const struct token *hash = &u->files[def->file].text->tokens[def->hash];
	n->kind = "macro";
	n->name = atoms_text(&u->d->atoms, m->atom);
	n->path = u->files[def->file].text->path;
	n->line = hash->line;
	n->start = hash->start;
}

uint32_t node_reach(struct describer *d, struct unit *u, bool is_macro, uint32_t number)
{
	uint32_t *at = is_macro ? &u->macros[number].node : &u->statements[number].node;
	if (*at)
		return *at - 1;
	mem_grow(d->nodes, d->node_count, d->node_capacity);
	struct node *n = &d->nodes[d->node_count];
	*n = (struct node){.unit = u, .is_macro = is_macro, .number = number};
	if (is_macro)
		title_macro(n, &u->macros[number]);
	else
		title_statement(n, &u->statements[number]);
	*at = (uint32_t)++d->node_count;
	u->is_used = true;
	return *at - 1;
}
