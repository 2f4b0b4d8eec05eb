/* reach.c - from the entry along every name, breadth first. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARAMS_MAX 128
#define CHAIN_MAX 256 /* declarations of one name that are looked at */

/* Names of where or when the source is. */
static const char *const places[] = {
	"__LINE__",	 "__FILE__",	  "__DATE__",
	"__TIME__",	 "__TIMESTAMP__", "__COUNTER__",
	"__BASE_FILE__", "__FILE_NAME__", "__INCLUDE_LEVEL__"};
static const char *const loaders[] = {"dlopen", "dlmopen", "dlsym"};

struct visited { /* what libclang says that a statement names */
	uint32_t atom;
	enum name_space space;
	CXCursor cursor;
	bool must_be_defined;
};

struct reaching {
	struct describer *d;
	struct unit *u;
	uint32_t node;
	const struct text *text; /* where it stands, for warnings */
	uint32_t params[PARAMS_MAX];
	size_t param_count;
	struct visited *visited;
	size_t visited_count, visited_capacity;
	int status;
};

static void refer(struct reaching *r, struct unit *u, bool is_macro, uint32_t number)
{
	uint32_t to = node_reach(r->d, u, is_macro, number);
	struct node *n = &r->d->nodes[r->node];
	for (size_t i = 0; i < n->ref_count; i++)
		if (n->refs[i] == to)
			return;
	if (to == r->node)
		return;
	mem_grow(n->refs, n->ref_count, n->ref_capacity);
	n->refs[n->ref_count++] = to;
}

/* ---- what a name stands for */

/* chain() - the declarations of a name, in the order in which they stand. Return: how many. */
static size_t chain(const struct unit *u, enum name_space space, uint32_t atom,
		    uint32_t list[CHAIN_MAX])
{
	size_t count = 0;
	for (uint32_t n = statements_name(u, space, atom); n && count < CHAIN_MAX;
	     n = u->declarations[n - 1].next)
		list[count++] = n - 1;
	for (size_t i = 0; i < count / 2; i++) {
		uint32_t other = list[i];
		list[i] = list[count - 1 - i];
		list[count - 1 - i] = other;
	}
	return count;
}

static bool is_object(const struct declaration *d)
{
	return d->kind == CXCursor_FunctionDecl || d->kind == CXCursor_VarDecl;
}

/* refer_external() - the definition in another unit. Return: whether there is one. */
static bool refer_external(struct reaching *r, struct unit *u, uint32_t atom)
{
	uint32_t list[CHAIN_MAX];
	bool found = false;
	size_t count = chain(u, SPACE_ORDINARY, atom, list);
	for (size_t i = 0; i < count; i++) {
		const struct declaration *d = &u->declarations[list[i]];
		if (!d->is_external ||
		    (!d->defines && !u->statements[d->statement].has_attributes))
			continue;
		refer(r, u, false, d->statement);
		found |= d->defines;
	}
	return found;
}

static bool find_external(struct reaching *r, uint32_t atom)
{
	for (size_t i = 0; i < r->d->active_count; i++)
		if (r->d->active[i] != r->u && refer_external(r, r->d->active[i], atom))
			return true;
	return false;
}

static void activate(struct describer *d, struct unit *u)
{
	for (size_t i = 0; i < d->active_count; i++)
		if (d->active[i] == u)
			return;
	mem_grow(d->active, d->active_count, d->active_capacity);
	d->active[d->active_count++] = u;
	u->is_used = u->effects_reached = false;
	for (size_t i = 0; i < u->statement_count; i++)
		u->statements[i].node = 0;
	for (size_t i = 0; i < u->macro_count; i++)
		u->macros[i].node = u->macros[i].in_text = 0;
}

/* activate_sibling() - the x.c beside the x.h that a name is declared in. Return: 0 or 1. */
static int activate_sibling(struct reaching *r, const struct declaration *d)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof path, "%s", r->u->files[d->file].text->path);
	if (size < 2 || size >= (int)sizeof path || strcmp(path + size - 2, ".h"))
		return 0;
	path[size - 1] = 'c';
	if (access(path, F_OK))
		return 0;
	struct unit *u = unit_get(r->d, path);
	if (!u)
		return 1;
	activate(r->d, u);
	return 0;
}

static int fail_undefined(struct reaching *r, const struct declaration *d,
			  const char *name)
{
	const struct node *n = &r->d->nodes[r->node];
	const struct text *t = r->u->files[d->file].text;
	bool function = d->kind == CXCursor_FunctionDecl;
	const struct token *at = &t->tokens[text_at(t, d->start)];
	size_t size = strlen(t->path);
	bool header = size > 2 && !strcmp(t->path + size - 2, ".h");
	return describer_fail(
		r->d, function ? "undefined-function" : "undefined-variable", t->path,
		at->line, describer_column(t, at->start),
		"%s uses %s, which is declared here and defined nowhere: %s", n->name,
		name,
		header ? "define it in the .c file of the same name beside this header, "
			 "or #include the "
			 "file that does"
		       : "declare it in a header beside the .c file of the same name "
			 "that defines it, or "
			 "#include that file");
}

/* refer_object() - a function or variable that this unit only declares. Return: 0 or 1. */
static int refer_undefined(struct reaching *r, const uint32_t *list, size_t count,
			   const struct visited *must)
{
	const struct declaration *d = &r->u->declarations[list[0]];
	if (!d->is_external || find_external(r, d->atom))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (activate_sibling(r, &r->u->declarations[list[i]]))
			return 1;
	if (find_external(r, d->atom) || !must || unit_in_system(r->u, must->cursor))
		return 0;
	const char *name = atoms_text(&r->d->atoms, d->atom);
	if (!r->d->flags->links_others)
		return fail_undefined(r, d, name);
	const struct text *t = r->u->files[d->file].text;
	describer_warn(
		r->d, "undefined-function", name, t, &t->tokens[text_at(t, d->start)],
		"a library has to define %s: what it does there does not count", name);
	return 0;
}

/* refer_name() - @must: libclang says that it is used. Return: 0 or 1. */
static int refer_name(struct reaching *r, enum name_space space, uint32_t atom,
		      const struct visited *must)
{
	uint32_t list[CHAIN_MAX];
	size_t count = chain(r->u, space, atom, list);
	bool defined = false, object = count > 0, open = false;
	for (size_t i = 0; i < count; i++) {
		const struct declaration *d = &r->u->declarations[list[i]];
		defined |= d->defines;
		object &= is_object(d);
		open |= d->defines && r->u->statements[d->statement].is_open;
	}
	for (size_t i = 0; i < count; i++) {
		const struct declaration *d = &r->u->declarations[list[i]];
		/* A declaration beside a definition says nothing but attributes; an opaque
		 * struct is its name. */
		if (d->defines ||
		    (object && (open || r->u->statements[d->statement].has_attributes)))
			refer(r, r->u, false, d->statement);
	}
	return object && !defined ? refer_undefined(r, list, count, must) : 0;
}

/* ---- the names in a node */

static bool among(const char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}

static void warn_word(struct reaching *r, const struct token *t)
{
	if (t->text[0] == '_' && among(places, ARRAY_LEN(places), t->text))
		describer_warn(r->d, "place-used", t->text, r->text, t,
			       "%s: where the source stands, or when it is compiled, "
			       "does not count",
			       t->text);
	else if (t->text[0] == 'd' && among(loaders, ARRAY_LEN(loaders), t->text))
		describer_warn(r->d, "native-library", t->text, r->text, t,
			       "%s: what it loads does not count", t->text);
}

static bool is_member(const struct token *previous)
{
	return previous && previous->kind == C_TOKEN_MARK &&
	       ((previous->size == 1 && previous->text[0] == '.') ||
		(previous->size == 2 && !memcmp(previous->text, "->", 2)));
}

static bool is_own(const struct reaching *r, uint32_t atom)
{
	for (size_t i = 0; i < r->param_count; i++)
		if (r->params[i] == atom)
			return true;
	return atom < r->d->own_name_count && r->d->own_names[atom] == r->node + 1;
}

/* note_external() - another unit may have what this one only thinks that it knows: weak, of the system's */
static void note_external(struct reaching *r, uint32_t atom)
{
	uint32_t unit = 1;
	for (uint32_t n = statements_name(r->u, SPACE_ORDINARY, atom); n;
	     n = r->u->declarations[n - 1].next)
		if (!r->u->declarations[n - 1].is_external)
			return;
	while (r->d->active[unit - 1] != r->u)
		unit++;
	struct word *w = later_word(r->d, atom);
	w->unit = !w->unit || w->unit == unit ? unit : UINT32_MAX;
}

static void name(void *arg, const struct token *t, const struct token *previous)
{
	struct reaching *r = arg;
	const struct describer *d = r->d;
	if (r->status)
		return;
	warn_word(r, t);
	later_word(r->d, t->atom)->said = true;
	struct macro *m = macros_get(r->u, t->atom);
	if (m && !(r->param_count && is_own(r, t->atom)))
		refer(r, r->u, true, (uint32_t)(m - r->u->macros));
	uint32_t before = previous ? previous->atom : 0;
	if (before &&
	    (before == d->a_struct || before == d->a_union || before == d->a_enum))
		r->status = refer_name(r, SPACE_TAG, t->atom, NULL);
	else if (!is_member(previous) && !is_own(r, t->atom)) {
		note_external(r, t->atom);
		r->status = refer_name(r, SPACE_ORDINARY, t->atom, NULL);
	}
}

/* ---- what libclang knows better: which of its names a statement declares itself, and which it takes
 * from the top of the file all the same */

static void own(struct reaching *r, CXCursor cursor)
{
	CXString text = clang.getCursorSpelling(cursor);
	const char *word = clang.getCString(text);
	if (word && *word) {
		struct describer *d = r->d;
		uint32_t atom = atoms_of(&d->atoms, word, strlen(word));
		if (atom >= d->own_name_count) {
			size_t count = 2 * d->atoms.count;
			d->own_names =
				mem_resize(d->own_names, count * sizeof *d->own_names);
			memset(d->own_names + d->own_name_count, 0,
			       (count - d->own_name_count) * sizeof *d->own_names);
			d->own_name_count = count;
		}
		d->own_names[atom] = r->node + 1;
	}
	clang.disposeString(text);
}

static void visit_reference(struct reaching *r, CXCursor cursor)
{
	CXCursor to = clang.getCursorReferenced(cursor);
	enum CXCursorKind kind = clang.getCursorKind(to);
	bool object = kind == CXCursor_FunctionDecl || kind == CXCursor_VarDecl;
	bool tag = kind == CXCursor_StructDecl || kind == CXCursor_UnionDecl ||
		   kind == CXCursor_EnumDecl;
	if (!object && !tag && kind != CXCursor_TypedefDecl &&
	    kind != CXCursor_EnumConstantDecl)
		return;
	if (kind == CXCursor_VarDecl && clang.getCursorLinkage(to) == CXLinkage_NoLinkage)
		return; /* a local one */
	CXString text = clang.getCursorSpelling(to);
	const char *word = clang.getCString(text);
	uint32_t atom = word && *word ? atoms_find(&r->d->atoms, word) : 0;
	clang.disposeString(text);
	if (!atom || !statements_name(r->u, tag ? SPACE_TAG : SPACE_ORDINARY, atom))
		return;
	mem_grow(r->visited, r->visited_count, r->visited_capacity);
	r->visited[r->visited_count++] =
		(struct visited){atom, tag ? SPACE_TAG : SPACE_ORDINARY, to, object};
}

static enum CXChildVisitResult visit(CXCursor cursor, CXCursor parent, CXClientData arg)
{
	struct reaching *r = arg;
	switch (clang.getCursorKind(cursor)) {
	case CXCursor_DeclRefExpr:
	case CXCursor_TypeRef:
		visit_reference(r, cursor);
		break;
	case CXCursor_VarDecl:
		if (clang.Cursor_getStorageClass(cursor) != CX_SC_Extern)
			own(r, cursor);
		break;
	case CXCursor_ParmDecl:
	case CXCursor_FieldDecl:
	case CXCursor_LabelStmt:
	case CXCursor_EnumConstantDecl:
	case CXCursor_TypedefDecl:
		own(r, cursor);
		break;
	default:
		break;
	}
	return CXChildVisit_Recurse;
}

static int compare_visited(const void *a, const void *b)
{
	const struct visited *x = a, *y = b;
	return x->atom != y->atom ? (x->atom < y->atom ? -1 : 1)
				  : (int)x->space - (int)y->space;
}

/* name_visited() - those that no token names (a macro does), in the order of their letters. */
static void name_visited(struct reaching *r)
{
	if (r->visited_count)
		qsort(r->visited, r->visited_count, sizeof *r->visited, compare_visited);
	size_t count = 0;
	for (size_t i = 0; i < r->visited_count; i++)
		if (i == 0 || compare_visited(&r->visited[i - 1], &r->visited[i]))
			r->visited[count++] = r->visited[i];
	for (size_t i = 1; i < count; i++) { /* few are new */
		struct visited v = r->visited[i];
		const char *text = atoms_text(&r->d->atoms, v.atom);
		size_t k = i;
		for (; k > 0 &&
		       strcmp(atoms_text(&r->d->atoms, r->visited[k - 1].atom), text) > 0;
		     k--)
			r->visited[k] = r->visited[k - 1];
		r->visited[k] = v;
	}
	for (size_t i = 0; i < count && !r->status; i++)
		r->status =
			refer_name(r, r->visited[i].space, r->visited[i].atom,
				   r->visited[i].must_be_defined ? &r->visited[i] : NULL);
}

/* ---- one node after the other */

/* name_alias() - __attribute__((alias("other"))). */
static void name_alias(struct reaching *r, const struct statement *s)
{
	for (uint32_t i = s->first; i < s->last && !r->status; i++) {
		const struct token *t = &r->text->tokens[i];
		if (t->kind != C_TOKEN_STRING || t->size < 3)
			continue;
		char *word = arena_copy(&r->d->arena, t->text + 1, t->size - 2);
		uint32_t atom = atoms_find(&r->d->atoms, word);
		r->status = refer_name(r, SPACE_ORDINARY, atom, NULL);
	}
}

static bool is_asm(const struct describer *d, uint32_t atom)
{
	return atom && (atom == d->a_asm || atom == d->a_asm2 || atom == d->a_asm3);
}

/* name_asm() - the functions and variables that an asm between these tokens may name. */
static void name_asm(struct reaching *r, uint32_t first, uint32_t last)
{
	bool any = false;
	for (uint32_t i = first; i < last && !r->status; i++) {
		const struct token *t = &r->text->tokens[i];
		any |= is_asm(r->d, t->atom);
		if (!any || t->kind != C_TOKEN_STRING)
			continue;
		for (uint32_t at = 0, size; at < t->size && !r->status;
		     at += size + !size) {
			char word[128];
			for (size = 0; at + size < t->size &&
				       (t->text[at + size] == '_' ||
					isalnum((unsigned char)t->text[at + size]));)
				size++;
			if (!size || size >= sizeof word)
				continue;
			memcpy(word, t->text + at, size);
			word[size] = '\0';
			r->status = refer_name(r, SPACE_ORDINARY,
					       atoms_find(&r->d->atoms, word), NULL);
		}
	}
}

/* name_attributes() - a name in an attribute is never that of a member or a label. */
static void name_attributes(struct reaching *r, const struct statement *s)
{
	size_t depth = 0;
	bool begins = false;
	for (uint32_t i = s->first; i < s->last && !r->status; i++) {
		const struct token *t = &r->text->tokens[i];
		bool mark = t->kind == C_TOKEN_MARK && t->size == 1;
		if (mark && t->text[0] == '(' && (begins || depth))
			depth++;
		if (mark && t->text[0] == ')' && depth)
			depth--;
		if (depth && t->atom && is_own(r, t->atom))
			r->status = refer_name(r, SPACE_ORDINARY, t->atom, NULL);
		begins = t->atom &&
			 (t->atom == r->d->a_attribute || t->atom == r->d->a_attribute2);
	}
}

static int fail_torn(struct reaching *r, const struct declaration *d)
{
	const struct token *at = &r->text->tokens[text_at(r->text, d->start)];
	return describer_fail(r->d, "syntax", r->text->path, at->line,
			      describer_column(r->text, at->start),
			      "%s begins in this file and ends in the one that includes "
			      "it: that cannot be described",
			      r->d->nodes[r->node].name);
}

static void reach_statement(struct reaching *r, struct buf *own_text)
{
	const struct statement *s = &r->u->statements[r->d->nodes[r->node].number];
	r->text = r->u->files[s->file].text;
	for (uint32_t i = 0; i < s->declaration_count; i++) {
		const struct declaration *d = &r->u->declarations[s->declarations + i];
		if (d->torn)
			r->status = fail_torn(r, d);
		if (!d->nested)
			clang.visitChildren(d->cursor, visit, r);
	}
	macros_pragmas(r->u, s->file, r->text->tokens[s->first].start, own_text);
	canon_statement(r->u, s, own_text, name, r);
	if (s->is_alias)
		name_alias(r, s);
	name_asm(r, s->first, s->last);
	if (s->has_attributes)
		name_attributes(r, s);
	name_visited(r);
}

static void reach_macro(struct reaching *r, struct buf *own_text)
{
	struct macro *m = &r->u->macros[r->d->nodes[r->node].number];
	const struct define *def = &r->u->defines[m->first - 1];
	while (def->undoes && def->next)
		def = &r->u->defines[def->next - 1];
	r->text = r->u->files[def->file].text;
	macros_body(r->text, def->hash + 2, r->params, PARAMS_MAX, &r->param_count);
	canon_macro(r->u, m, own_text, name, r);
	for (uint32_t n = m->first; n && !r->status; n = r->u->defines[n - 1].next) {
		def = &r->u->defines[n - 1];
		r->text = r->u->files[def->file].text;
		name_asm(r, def->hash, text_line_end(r->text, def->hash));
	}
}

static int reach_node(struct describer *d, uint32_t node)
{
	struct reaching r = {.d = d, .u = d->nodes[node].unit, .node = node};
	struct buf own_text = {0};
	if (d->nodes[node].is_macro)
		reach_macro(&r, &own_text);
	else
		reach_statement(&r, &own_text);
	d->nodes[node].own = own_text;
	free(r.visited);
	return r.status;
}

void reach_refer(struct describer *d, uint32_t node, bool is_macro, struct unit *u,
		 uint32_t number)
{
	struct reaching r = {.d = d, .u = u, .node = node};
	refer(&r, u, is_macro, number);
}

static void reach_effects(struct describer *d, struct unit *u)
{
	if (u->effects_reached || !u->is_used)
		return;
	u->effects_reached = true;
	for (uint32_t i = 0; i < u->statement_count; i++)
		if (u->statements[i].is_effect)
			node_reach(d, u, false, i);
	for (uint32_t i = 0; i < u->macro_count; i++)
		if (u->macros[i].is_effect)
			node_reach(d, u, true, i);
}

int reach(struct describer *d, struct unit *u, uint32_t statement)
{
	for (size_t i = 0; i < d->node_count; i++) {
		free(d->nodes[i].refs);
		buf_fini(&d->nodes[i].own);
	}
	if (d->own_names)
		memset(d->own_names, 0, d->own_name_count * sizeof *d->own_names);
	if (d->words)
		memset(d->words, 0, d->word_count * sizeof *d->words);
	d->node_count = d->active_count = d->warning_count = 0;
	activate(d, u);
	node_reach(d, u, false, statement);
	for (uint32_t next = 0; next < d->node_count;) {
		for (; next < d->node_count; next++)
			if (reach_node(d, next))
				return 1;
		for (size_t i = 0; i < d->active_count; i++)
			reach_effects(d, d->active[i]);
		if (next == d->node_count)
			later_reach(d);
	}
	for (uint32_t i = 0; i < d->node_count; i++)
		order_write(d, &d->nodes[i]);
	canon_texts(d);
	for (size_t i = 0; i < d->active_count; i++)
		if (d->active[i]->is_used)
			macros_warn(d->active[i]);
	return 0;
}
