/* statements.c - the top level of a unit: what libclang says is declared, and from where to where the
 * declarations stand that it may share a statement with: int a, b; typedef struct s { ... } t; */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- declarations */

static bool is_tag(enum CXCursorKind kind)
{
	return kind == CXCursor_StructDecl || kind == CXCursor_UnionDecl ||
	       kind == CXCursor_EnumDecl;
}

/* find_end() - of what begins in @file and ends in one (number + 1) that is included there: behind the # of
 * that line. Return: whether there is such a line. */
static bool find_end(const struct unit *u, uint32_t file, uint32_t from, uint32_t in,
		     uint32_t *end)
{
	bool found = false;
	for (int depth = 0; in && !found && depth < 200; depth++) {
		for (size_t i = 0; i < u->inclusion_count; i++) {
			const struct inclusion *n = &u->inclusions[i];
			if (n->file != in || n->parent != file + 1 || n->at < from)
				continue;
			*end = found && *end < n->at + 1 ? *end : n->at + 1;
			found = true;
		}
		in = u->files[in - 1].parent;
	}
	return found;
}

/* place() - where a cursor stands, as it is seen in a file. Return: whether that is one of the user's. */
static bool place(struct unit *u, CXCursor cursor, uint32_t *file, uint32_t *start,
		  uint32_t *end, bool *torn)
{
	static CXFile last;
	static uint32_t last_number;
	static const struct unit *last_unit;
	CXSourceRange range = clang.getCursorExtent(cursor);
	CXFile cx;
	unsigned from, to;
	clang.getExpansionLocation(clang.getRangeStart(range), &cx, NULL, NULL, &from);
	if (!cx)
		return false;
	if (cx != last || u != last_unit) {
		last = cx;
		last_unit = u;
		last_number = unit_file_of(u, cx);
	}
	if (!last_number || !u->files[last_number - 1].text)
		return false;
	CXFile end_cx;
	clang.getExpansionLocation(clang.getRangeEnd(range), &end_cx, NULL, NULL, &to);
	*file = last_number - 1;
	*start = from;
	*torn = end_cx != cx;
	*end = !*torn && to > from ? to : from + 1;
	if (*torn && find_end(u, *file, from, unit_file_of(u, end_cx), end))
		*torn = false;
	return true;
}

static uint32_t atom_of(struct unit *u, CXCursor cursor)
{
	CXString text = clang.getCursorSpelling(cursor);
	const char *name = clang.getCString(text);
	uint32_t atom = 0;
	if (name && name[0] && !strchr(name, ' ') && !strchr(name, '('))
		atom = atoms_of(&u->d->atoms, name, strlen(name));
	clang.disposeString(text);
	return atom;
}

static bool defines(CXCursor cursor, enum CXCursorKind kind)
{
	if (kind == CXCursor_VarDecl)
		return clang.isCursorDefinition(cursor) ||
		       clang.Cursor_getStorageClass(cursor) != CX_SC_Extern;
	return kind == CXCursor_TypedefDecl || kind == CXCursor_EnumConstantDecl ||
	       clang.isCursorDefinition(cursor);
}

static void add(struct unit *u, CXCursor cursor, enum CXCursorKind kind, bool nested,
		uint32_t file, uint32_t start, uint32_t end, bool torn)
{
	mem_grow(u->declarations, u->declaration_count, u->declaration_capacity);
	u->declarations[u->declaration_count++] = (struct declaration){
		.cursor = cursor,
		.kind = kind,
		.atom = atom_of(u, cursor),
		.space = is_tag(kind) ? SPACE_TAG : SPACE_ORDINARY,
		.defines = defines(cursor, kind),
		.is_external =
			(kind == CXCursor_FunctionDecl || kind == CXCursor_VarDecl) &&
			clang.getCursorLinkage(cursor) == CXLinkage_External,
		.nested = nested,
		.torn = torn,
		.file = file,
		.start = start,
		.end = end,
	};
}

/* A type, while what is in it is visited. */
struct type {
	struct unit *unit;
	uint32_t file, start;
};

/* Tags and enumerators inside of a type are names of the file too. What a file that is included within the type
 * has of it is part of the type's statement: it is no statement there. */
static enum CXChildVisitResult visit_members(CXCursor cursor, CXCursor parent,
					     CXClientData arg)
{
	enum CXCursorKind kind = clang.getCursorKind(cursor);
	const struct type *t = arg;
	struct unit *u = t->unit;
	uint32_t file, start, end;
	bool torn;
	if ((is_tag(kind) || kind == CXCursor_EnumConstantDecl) &&
	    place(u, cursor, &file, &start, &end, &torn)) {
		if (file == t->file)
			add(u, cursor, kind, true, file, start, end, torn);
		else
			add(u, cursor, kind, true, t->file, t->start, t->start + 1,
			    false);
	}
	return is_tag(kind) || kind == CXCursor_FieldDecl ? CXChildVisit_Recurse
							  : CXChildVisit_Continue;
}

static enum CXChildVisitResult visit(CXCursor cursor, CXCursor parent, CXClientData arg)
{
	enum CXCursorKind kind = clang.getCursorKind(cursor);
	struct unit *u = arg;
	uint32_t file, start, end;
	bool torn;
	if (kind >= CXCursor_FirstPreprocessing && kind <= CXCursor_LastPreprocessing)
		return CXChildVisit_Continue;
	if (!place(u, cursor, &file, &start, &end, &torn))
		return CXChildVisit_Continue;
	add(u, cursor, kind, false, file, start, end, torn);
	if (is_tag(kind)) {
		struct type t = {.unit = u, .file = file, .start = start};
		clang.visitChildren(cursor, visit_members, &t);
	}
	return CXChildVisit_Continue;
}

static int by_place(const void *a, const void *b)
{
	const struct declaration *x = a, *y = b;
	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->end != y->end)
		return x->end > y->end ? -1 : 1;
	return 0;
}

/* ---- statements */

static bool is_code(const struct unit_file *f, uint32_t i)
{
	return !f->off[i] && !f->text->tokens[i].directive;
}

static bool is_mark(const struct token *t, char mark)
{
	return t->kind == C_TOKEN_MARK && t->size == 1 && t->text[0] == mark;
}

/* first_of() - behind the statement before, attributes that stand in front of a declaration. */
static uint32_t first_of(const struct unit_file *f, uint32_t after, uint32_t start)
{
	uint32_t i = after;
	while (i < start && (!is_code(f, i) || is_mark(&f->text->tokens[i], ';')))
		i++;
	return i;
}

/* last_of() - behind its ";", but not further than where the next declaration begins. */
static uint32_t last_of(const struct unit_file *f, uint32_t behind, uint32_t next)
{
	for (uint32_t i = behind; i < next; i++)
		if (is_code(f, i) && is_mark(&f->text->tokens[i], ';'))
			return i + 1;
	return behind;
}

static void note_words(struct unit *u, struct statement *s)
{
	const struct describer *d = u->d;
	const struct unit_file *f = &u->files[s->file];
	bool first = true, has_body = false, has_value = false;
	for (uint32_t i = s->first; i < s->last; i++) {
		const struct token *t = &f->text->tokens[i];
		if (!is_code(f, i))
			continue;
		uint32_t a = t->atom;
		if (a &&
		    (a == d->a_attribute || a == d->a_attribute2 || a == d->a_pragma))
			s->has_attributes = true;
		has_value |= is_mark(t, '=');
		has_body |= is_mark(t, '{');
		s->is_open |= is_mark(t, ';') && i + 1 < s->last && !has_body;
		s->is_open |= is_mark(t, ']') && i > s->first &&
			      is_mark(&f->text->tokens[i - 1], '[') && !has_value;
		if (a && (a == d->a_asm || a == d->a_asm2 || a == d->a_asm3)) {
			s->is_effect |= first;
			s->is_alias |= !first && !has_body; /* int f(void) asm("g"); */
		}
		if (is_mark(t, '['))
			s->has_attributes |=
				i + 1 < s->last && is_mark(&f->text->tokens[i + 1], '[');
		struct macro *m = a ? macros_get(u, a) : NULL;
		if (m) {
			macros_check(u, m);
			s->has_attributes |= m->constructs;
			s->is_effect |= m->constructs;
		}
		first = false;
	}
	s->is_open &= !has_value;
}
static bool is_alias(const char *word)
{
	static const char *const words[] = {"alias",	 "__alias__",  "ifunc",
					    "__ifunc__", "weak",       "__weak__",
					    "weakref",	 "__weakref__"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* note_attributes() - they stand in front of a body. */
static void note_attributes(struct unit *u, struct statement *s)
{
	const struct unit_file *f = &u->files[s->file];
	bool in_attribute = false;
	for (uint32_t i = s->first; s->has_attributes && i < s->last; i++) {
		const struct token *t = &f->text->tokens[i];
		if (t->atom && is_code(f, i)) {
			in_attribute |= t->atom == u->d->a_attribute ||
					t->atom == u->d->a_attribute2;
			s->is_effect |= macros_is_constructor(t->text, in_attribute);
			s->is_alias |= is_alias(t->text);
		}
		if (is_mark(t, '{'))
			break;
	}
	for (uint32_t i = 0; s->is_alias && i < s->declaration_count; i++)
		u->declarations[s->declarations + i].defines = true;
}

/* add_statement() - of declarations @from to @to, which end at byte @end. */
static void add_statement(struct unit *u, uint32_t from, uint32_t to, uint32_t end,
			  uint32_t *after)
{
	const struct declaration *first = &u->declarations[from];
	const struct unit_file *f = &u->files[first->file];
	uint32_t next = f->text->count - 1, start = text_at(f->text, first->start);
	bool is_body = false;
	if (to < u->declaration_count && u->declarations[to].file == first->file)
		next = text_at(f->text, u->declarations[to].start);
	for (uint32_t i = from; i < to; i++) {
		struct declaration *dcl = &u->declarations[i];
		is_body |= dcl->kind == CXCursor_FunctionDecl && dcl->defines &&
			   dcl->end == end;
		dcl->statement = (uint32_t)u->statement_count;
	}
	struct statement s = {.file = first->file,
			      .declarations = from,
			      .declaration_count = to - from};
	s.first = first_of(f, *after, start);
	s.last = text_at(f->text, end);
	if (s.last < start + 1)
		s.last = start + 1;
	if (!is_body)
		s.last = last_of(f, s.last, next);
	*after = s.last;
	note_words(u, &s);
	note_attributes(u, &s);
	mem_grow(u->statements, u->statement_count, u->statement_capacity);
	u->statements[u->statement_count++] = s;
}

static void group(struct unit *u)
{
	uint32_t after = 0, file = UINT32_MAX;
	for (uint32_t from = 0, to; from < u->declaration_count; from = to) {
		const struct declaration *d = u->declarations;
		uint32_t end = d[from].end;
		for (to = from + 1; to < u->declaration_count &&
				    d[to].file == d[from].file && d[to].start < end;
		     to++)
			if (d[to].end > end)
				end = d[to].end;
		if (d[from].file != file) {
			file = d[from].file;
			after = 0;
		}
		add_statement(u, from, to, end, &after);
	}
}

static void index_names(struct unit *u)
{
	u->name_count = u->d->atoms.count;
	for (int space = 0; space < SPACE_COUNT; space++)
		u->names[space] = arena_alloc(&u->d->arena,
					      u->name_count * sizeof *u->names[space]);
	for (uint32_t i = 0; i < u->declaration_count; i++) {
		struct declaration *d = &u->declarations[i];
		if (!d->atom)
			continue;
		d->next = u->names[d->space][d->atom];
		u->names[d->space][d->atom] = i + 1;
	}
}

uint32_t statements_name(const struct unit *u, enum name_space space, uint32_t atom)
{
	return atom && atom < u->name_count ? u->names[space][atom] : 0;
}

void statements_find(struct unit *u)
{
	clang.visitChildren(clang.getTranslationUnitCursor(u->tu), visit, u);
	if (u->declaration_count)
		qsort(u->declarations, u->declaration_count, sizeof *u->declarations,
		      by_place);
	group(u);
	index_names(u);
}
