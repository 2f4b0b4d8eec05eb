/* later.c - names that show when all others are known.
 *
 * ## makes names of pieces. Whether it makes one of a macro, or one in an attribute, libclang does not say.
 * A name of the unit's is taken to be made when a macro that is reached has such a form (drop_##n) and
 * all pieces that are free there are words that something reached says.
 *
 * Where a library is linked of several sources, the definition that it has of a name is everybody's:
 * instead of a weak one, of a tentative one, and of the C library's. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define PARAMS_MAX 128
#define PIECES_MAX 16

struct word *later_word(struct describer *d, uint32_t atom)
{
	if (atom >= d->word_count) {
		size_t count = 2 * (size_t)d->atoms.count + 1;
		d->words = mem_resize(d->words, count * sizeof *d->words);
		memset(d->words + d->word_count, 0,
		       (count - d->word_count) * sizeof *d->words);
		d->word_count = count;
	}
	return &d->words[atom];
}

/* ---- forms of pasted names */

struct form {					/* a ## b ## c */
	const struct token *pieces[PIECES_MAX]; /* NULL: anything that is said */
	size_t count;
};

/* is_said() - a word, a number, or several that were pasted themselves. */
static bool is_said(struct describer *d, const char *text, size_t size, int depth)
{
	size_t digits = 0;
	char word[256];
	if (size == 0)
		return true;
	if (size >= sizeof word || depth == 0)
		return false;
	while (digits < size && isdigit((unsigned char)text[digits]))
		digits++;
	if (digits && is_said(d, text + digits, size - digits, depth - 1))
		return true;
	for (size_t i = size; i > 0; i--) {
		memcpy(word, text, i);
		word[i] = '\0';
		uint32_t atom = atoms_find(&d->atoms, word);
		if (atom && later_word(d, atom)->said &&
		    is_said(d, text + i, size - i, depth - 1))
			return true;
	}
	return false;
}

static bool fits(struct describer *d, const struct form *f, size_t piece,
		 const char *text, size_t size)
{
	if (piece == f->count)
		return size == 0;
	const struct token *t = f->pieces[piece];
	if (t)
		return size >= t->size && !memcmp(text, t->text, t->size) &&
		       fits(d, f, piece + 1, text + t->size, size - t->size);
	for (size_t i = 0; i <= size; i++)
		if (fits(d, f, piece + 1, text + i, size - i) && is_said(d, text, i, 3))
			return true;
	return false;
}

/* find_form() - the next one from token *@at on. Return: whether there is one. */
static bool find_form(const struct token *tokens, uint32_t *at, const uint32_t *params,
		      size_t param_count, struct form *f)
{
	uint32_t i = *at;
	while (tokens[i].kind != C_TOKEN_LINE_END && !macros_is_paste(&tokens[i + 1]))
		if (tokens[i++].kind == C_TOKEN_END)
			return false;
	if (tokens[i].kind == C_TOKEN_LINE_END)
		return false;
	f->count = 0;
	for (;; i += 2) {
		bool is_free = tokens[i].atom && !strcmp(tokens[i].text, "__VA_ARGS__");
		for (size_t k = 0; k < param_count; k++)
			is_free |= params[k] == tokens[i].atom;
		if (f->count < PIECES_MAX)
			f->pieces[f->count++] = is_free ? NULL : &tokens[i];
		if (!macros_is_paste(&tokens[i + 1]) ||
		    tokens[i + 2].kind == C_TOKEN_LINE_END)
			break;
	}
	*at = i + 1;
	return true;
}

/* ---- names that they make */

struct made {
	const char **list;
	size_t count, capacity;
};

static bool is_new(const struct unit *u, uint32_t atom)
{
	struct macro *m = macros_get((struct unit *)(uintptr_t)u, atom);
	if (m && !m->node)
		return true;
	for (int space = 0; space < SPACE_COUNT; space++)
		for (uint32_t n = statements_name(u, (enum name_space)space, atom); n;
		     n = u->declarations[n - 1].next)
			if (u->declarations[n - 1].defines &&
			    !u->statements[u->declarations[n - 1].statement].node)
				return true;
	return false;
}

static void collect(struct unit *u, const struct form *f, struct made *made)
{
	uint32_t count = u->name_count > u->macro_atoms ? u->name_count : u->macro_atoms;
	for (uint32_t atom = 1; atom < count; atom++) {
		if (!is_new(u, atom))
			continue;
		const char *text = atoms_text(&u->d->atoms, atom);
		if (!fits(u->d, f, 0, text, strlen(text)))
			continue;
		mem_grow(made->list, made->count, made->capacity);
		made->list[made->count++] = text;
	}
}

static int by_letters(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void refer_all(struct unit *u, uint32_t node, const struct made *made)
{
	struct describer *d = u->d;
	for (size_t i = 0; i < made->count; i++) {
		uint32_t atom = atoms_find(&d->atoms, made->list[i]);
		struct macro *m = macros_get(u, atom);
		if (m)
			reach_refer(d, node, true, u, (uint32_t)(m - u->macros));
		for (int space = 0; space < SPACE_COUNT; space++)
			for (uint32_t n =
				     statements_name(u, (enum name_space)space, atom);
			     n; n = u->declarations[n - 1].next)
				if (u->declarations[n - 1].defines)
					reach_refer(d, node, false, u,
						    u->declarations[n - 1].statement);
	}
}

static void reach_pasted(struct describer *d, uint32_t node)
{
	struct unit *u = d->nodes[node].unit;
	struct macro *m = &u->macros[d->nodes[node].number];
	struct made made = {0};
	macros_check(u, m);
	for (uint32_t n = m->pastes ? m->first : 0; n; n = u->defines[n - 1].next) {
		const struct define *def = &u->defines[n - 1];
		const struct text *t = u->files[def->file].text;
		uint32_t params[PARAMS_MAX];
		size_t count = 0;
		struct form form;
		if (def->undoes)
			continue;
		uint32_t at = macros_body(t, def->hash + 2, params, PARAMS_MAX, &count);
		while (find_form(t->tokens, &at, params, count, &form))
			collect(u, &form, &made);
	}
	if (made.count)
		qsort(made.list, made.count, sizeof *made.list, by_letters);
	refer_all(u, node, &made);
	free(made.list);
}

/* ---- what another source defines */

static void reach_defined(struct describer *d, uint32_t number)
{
	struct unit *u = d->active[number];
	for (uint32_t i = 0; u->is_used && i < u->declaration_count; i++) {
		const struct declaration *dcl = &u->declarations[i];
		if (!dcl->is_external || !dcl->defines || !dcl->atom ||
		    u->statements[dcl->statement].node)
			continue;
		uint32_t by = later_word(d, dcl->atom)->unit;
		if (by && by != number + 1)
			reach_refer(d, 0, false, u, dcl->statement);
	}
}

void later_reach(struct describer *d)
{
	size_t count = d->node_count;
	for (uint32_t i = 0; i < count; i++)
		if (d->nodes[i].is_macro)
			reach_pasted(d, i);
	for (uint32_t i = 0; i < d->active_count && d->active_count > 1; i++)
		reach_defined(d, i);
}
