/* macros.c - preprocessor lines of a unit: macros by their names, whichever #define of several is meant, and
 * pragmas at the top level, which count for what stands behind them. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <string.h>

/* These say nothing about code. */
static const char *const quiet_pragmas[] = {"once",    "region",  "endregion", "mark",
					    "message", "warning", "error"};
static const char *const quiet_families[] = {"diagnostic", "poison", "system_header",
					     "warning",	   "error",  "message"};

/* Which compiler it is that describes, and which that compiles, may differ. */
static const char *const compilers[] = {
	"__clang__",	  "__clang_major__", "__clang_version__", "__GNUC__",
	"__GNUC_MINOR__", "__VERSION__",     "__has_builtin",	  "__has_attribute",
	"__has_feature",  "__has_extension"};

static bool among(const char *const *list, size_t count, const char *word)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], word))
			return true;
	return false;
}

static bool is_quiet(const struct token *word, const struct token *next)
{
	if (!word->atom)
		return false;
	if (among(quiet_pragmas, ARRAY_LEN(quiet_pragmas), word->text))
		return true;
	return next->atom &&
	       (!strcmp(word->text, "GCC") || !strcmp(word->text, "clang")) &&
	       among(quiet_families, ARRAY_LEN(quiet_families), next->text);
}

/* ---- macros */

static struct macro *add_macro(struct unit *u, uint32_t atom)
{
	mem_grow(u->macros, u->macro_count, u->macro_capacity);
	u->macros[u->macro_count] = (struct macro){.atom = atom};
	u->macro_of[atom] = (uint32_t)++u->macro_count;
	return &u->macros[u->macro_count - 1];
}

static bool is_of_flag(const struct unit *u, const char *name)
{
	size_t size = strlen(name);
	for (size_t i = 0; i < u->d->flags->count; i++) {
		const char *flag = u->d->flags->list[i];
		if (!strncmp(flag, "-D", 2) && !strncmp(flag + 2, name, size) &&
		    (!flag[2 + size] || strchr("=(", flag[2 + size])))
			return true;
	}
	return false;
}

/* add_define() - a #define or #undef. */
static void add_define(struct unit *u, uint32_t file, uint32_t hash, uint32_t order)
{
	const struct text *t = u->files[file].text;
	const struct token *name = &t->tokens[hash + 2];
	if (!name->atom)
		return;
	struct macro *m = macros_get(u, name->atom);
	if (!m)
		m = add_macro(u, name->atom);
	m->is_flag = is_of_flag(u, name->text);
	m->many |= u->files[file].many;
	mem_grow(u->defines, u->define_count, u->define_capacity);
	u->defines[u->define_count++] =
		(struct define){.file = file,
				.hash = hash,
				.order = order,
				.undoes = t->tokens[hash + 1].atom == u->d->a_undef};
	if (m->last)
		u->defines[m->last - 1].next = (uint32_t)u->define_count;
	else
		m->first = (uint32_t)u->define_count;
	m->last = (uint32_t)u->define_count;
	/* Headers of the system are told by such names: _GNU_SOURCE, NDEBUG. */
	if (name->atom != t->guard &&
	    (name->text[0] == '_' || !strcmp(name->text, "NDEBUG")))
		m->is_effect = true;
}

struct macro *macros_get(struct unit *u, uint32_t atom)
{
	uint32_t number = atom && atom < u->macro_atoms ? u->macro_of[atom] : 0;
	return number ? &u->macros[number - 1] : NULL;
}

uint32_t macros_body(const struct text *t, uint32_t name, uint32_t *list, size_t max,
		     size_t *countp)
{
	uint32_t i = name + 1;
	*countp = 0;
	if (t->tokens[i].kind != C_TOKEN_CALL)
		return i;
	for (i++; t->tokens[i].kind != C_TOKEN_LINE_END; i++) {
		if (t->tokens[i].size == 1 && t->tokens[i].text[0] == ')')
			return i + 1;
		if (t->tokens[i].atom && *countp < max)
			list[(*countp)++] = t->tokens[i].atom;
	}
	return i;
}

bool macros_is_constructor(const char *word, bool in_attribute)
{
	static const char *const run[] = {"constructor", "__constructor__", "destructor",
					  "__destructor__"};
	/* What nobody names is kept for somebody: the linker's sections, an asm. */
	static const char *const kept[] = {"section",  "__section__", "used",
					   "__used__", "retain",      "__retain__"};
	return among(run, ARRAY_LEN(run), word) ||
	       (in_attribute && among(kept, ARRAY_LEN(kept), word));
}

static void check_define(struct unit *u, struct macro *m, const struct define *def)
{
	const struct text *t = u->files[def->file].text;
	bool in_attribute = false;
	for (uint32_t i = def->hash + 3; t->tokens[i].kind != C_TOKEN_LINE_END; i++) {
		const struct token *token = &t->tokens[i];
		m->makes_text |= token->kind == C_TOKEN_MARK && token->size == 1 &&
				 token->text[0] == '#';
		m->pastes |= macros_is_paste(token);
		m->takes_rest |= token->kind == C_TOKEN_MARK && token->size == 3 &&
				 !memcmp(token->text, "...", 3);
		if (!token->atom)
			continue;
		in_attribute |= token->atom == u->d->a_attribute ||
				token->atom == u->d->a_attribute2;
		m->constructs |= macros_is_constructor(token->text, in_attribute);
		struct macro *other = macros_get(u, token->atom);
		if (!other || other == m)
			continue;
		macros_check(u, other);
		m->makes_text |= other->makes_text;
		m->makes_late |= other->makes_text;
		m->takes_rest |= other->takes_rest;
		m->constructs |= other->constructs;
	}
}

bool macros_is_paste(const struct token *t)
{
	return t->kind == C_TOKEN_MARK && ((t->size == 2 && !memcmp(t->text, "##", 2)) ||
					   (t->size == 4 && !memcmp(t->text, "%:%:", 4)));
}

void macros_check(struct unit *u, struct macro *m)
{
	if (m->checked)
		return;
	m->checked = true; /* also in a circle */
	for (uint32_t i = m->first; i; i = u->defines[i - 1].next)
		check_define(u, m, &u->defines[i - 1]);
}

/* ---- lines */

static int check_include(struct unit *u, const struct text *t, uint32_t hash)
{
	const struct token *name = &t->tokens[hash + 2];
	if (name->kind != C_TOKEN_HEADER || name->size < 2 || name->text[1] != '/')
		return 0;
	for (size_t i = 0; i < u->file_count;
	     i++) { /* those of the system's have no text */
		const struct text *in = u->files[i].text;
		if (in && strlen(in->path) == name->size - 2 &&
		    !memcmp(in->path, name->text + 1, name->size - 2))
			return describer_fail(
				u->d, "absolute-include", t->path, name->line,
				describer_column(t, name->start),
				"workers do not have this file: include it by a "
				"relative path");
	}
	return 0;
}

/* is_tgmath() - it makes other functions of sqrt() and its like. */
static bool is_tgmath(const struct token *name)
{
	return name->kind == C_TOKEN_HEADER && name->size == strlen("<tgmath.h>") &&
	       !memcmp(name->text, "<tgmath.h>", name->size);
}

static int read_line(struct unit *u, uint32_t file, uint32_t hash, uint32_t order)
{
	const struct text *t = u->files[file].text;
	const struct token *name = &t->tokens[hash + 1];
	if (name->atom == u->d->a_define || name->atom == u->d->a_undef)
		add_define(u, file, hash, order);
	else if (name->atom == u->d->a_include || name->atom == u->d->a_include_next) {
		u->has_pragmas |= is_tgmath(name + 1);
		order_include(u, file, hash, order);
		return check_include(u, t, hash);
	} else if (name->atom == u->d->a_pragma_line)
		u->has_pragmas |= !is_quiet(name + 1, name + 2);
	return 0;
}

/* is_character_name() - behind a backslash: the u00e9 of caf\u00e9. */
static bool is_character_name(const struct token *t)
{
	return t->atom && !t->space_before && (t->text[0] == 'u' || t->text[0] == 'U') &&
	       strspn(t->text + 1, "0123456789abcdefABCDEF") >= 4;
}

static int visit(struct unit *u, uint32_t file, uint32_t token, uint32_t order)
{
	const struct token *t = &u->files[file].text->tokens[token];
	if (t->atom == u->d->a_pragma && t->atom)
		u->has_pragmas = true;
	if (t->kind == C_TOKEN_OTHER && t->text[0] == '\\' && is_character_name(&t[1]))
		return describer_fail(u->d, "syntax", u->files[file].text->path, t->line,
				      describer_column(u->files[file].text, t->start),
				      "write the character itself: \\%s in a name is "
				      "another name here",
				      t[1].text);
	return t->kind == C_TOKEN_HASH ? read_line(u, file, token, order) : 0;
}

int macros_find(struct unit *u)
{
	u->macro_atoms = u->d->atoms.count;
	u->macro_of = arena_alloc(&u->d->arena, u->macro_atoms * sizeof *u->macro_of);
	return order_walk(u, visit);
}

static void check_condition(struct unit *u, const struct text *t, uint32_t hash)
{
	for (uint32_t i = hash + 2; t->tokens[i].kind != C_TOKEN_LINE_END; i++) {
		const struct token *token = &t->tokens[i];
		if (token->atom && among(compilers, ARRAY_LEN(compilers), token->text))
			describer_warn(u->d, "compiler-used", token->text, t, token,
				       "%s is asked here as libclang has it; the "
				       "worker's compiler may answer otherwise",
				       token->text);
	}
}

static bool is_word(const struct token *t, const char *word)
{
	return t->atom && !strcmp(t->text, word);
}

void macros_warn(struct unit *u)
{
	for (uint32_t file = 0; file < u->file_count; file++) {
		const struct unit_file *f = &u->files[file];
		for (uint32_t i = 0; f->text && i < f->text->count; i++) {
			const struct token *name = &f->text->tokens[i + 1];
			if (f->text->tokens[i].kind == C_TOKEN_HASH &&
			    (is_word(name, "if") || is_word(name, "elif") ||
			     is_word(name, "ifdef") || is_word(name, "ifndef")))
				check_condition(u, f->text, i);
		}
	}
}

/* ---- pragmas */

static void add_pragma(const struct text *t, uint32_t hash, struct buf *out)
{
	buf_add_str(out, "  under #");
	for (uint32_t i = hash + 1; t->tokens[i].kind != C_TOKEN_LINE_END; i++) {
		buf_add(out, t->tokens[i].text, t->tokens[i].size);
		buf_add_byte(out, ' ');
	}
	out->data[out->size - 1] = '\n';
}

/* add_operator() - _Pragma ( "..." ), wherever it stands. */
static void add_operator(const struct text *t, uint32_t i, struct buf *out)
{
	buf_add_str(out, "  under _Pragma");
	for (uint32_t k = i + 1; k < i + 4 && t->tokens[k].kind != C_TOKEN_END; k++) {
		buf_add_byte(out, ' ');
		buf_add(out, t->tokens[k].text, t->tokens[k].size);
	}
	buf_add_byte(out, '\n');
}

/* is_inside() - of a function: there it is a token of the statement. */
static bool is_inside(const struct unit *u, uint32_t file, uint32_t token)
{
	size_t low = 0, high = u->statement_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct statement *s = &u->statements[middle];
		if (s->file < file || (s->file == file && s->last <= token))
			low = middle + 1;
		else
			high = middle;
	}
	return low < u->statement_count && u->statements[low].file == file &&
	       u->statements[low].first < token;
}

static void add_file(struct unit *u, uint32_t file, uint32_t offset, struct buf *out,
		     int depth)
{
	const struct unit_file *f = &u->files[file];
	for (uint32_t i = 0; f->text && depth > 0 && i < f->text->count; i++) {
		const struct token *t = &f->text->tokens[i];
		if (t->start >= offset)
			return;
		if (f->off[i])
			continue;
		if (t->atom && t->atom == u->d->a_pragma && !is_inside(u, file, i))
			add_operator(f->text, i, out);
		if (t->kind != C_TOKEN_HASH)
			continue;
		uint32_t name = f->text->tokens[i + 1].atom;
		if (name == u->d->a_pragma_line && !is_inside(u, file, i) &&
		    !is_quiet(&t[2], &t[3]))
			add_pragma(f->text, i, out);
		if (name == u->d->a_include && is_tgmath(&t[2]))
			add_pragma(f->text, i, out);
		if (name != u->d->a_include && name != u->d->a_include_next)
			continue;
		uint32_t in = unit_included(u, file, t->start);
		if (in)
			add_file(u, in - 1, UINT32_MAX, out, depth - 1);
	}
}

void macros_pragmas(struct unit *u, uint32_t file, uint32_t offset, struct buf *out)
{
	if (!u->has_pragmas)
		return;
	if (u->files[file].parent)
		macros_pragmas(u, u->files[file].parent - 1, u->files[file].at, out);
	add_file(u, file, offset, out, 64);
}
