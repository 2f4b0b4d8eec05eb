/* canon.c - the canonical form: sections of tokens with one blank between them. Lines are broken behind
 * "{", "}" and ";" so that people can read them.
 *
 * Where a macro makes a text of its arguments (#), the blanks between their tokens are part of what the
 * program says: there, and only there, they are as in the source. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPLICE_DEPTH 16

struct writer {
	struct unit *u;
	struct buf *out;
	canon_word *fn;
	void *arg;
	const struct token *previous;
	uint32_t braces, parens;
	uint32_t
		text; /* @parens outside of arguments that become a text, + 1; 0: not in such */
	bool line_begins, armed; /* armed: the next token may open such arguments */
	bool rest;		 /* of them, commas may be part of the text */
	bool late;		 /* macros in them are expanded first */
	bool closed;		 /* behind "}": the line may end here */
};

static bool is(const struct token *t, char mark)
{
	return t && t->kind == C_TOKEN_MARK && t->size == 1 && t->text[0] == mark;
}

static void break_line(struct writer *w)
{
	if (!w->line_begins)
		buf_add_byte(w->out, '\n');
	w->line_begins = true;
}

/* has_blank() - in front of a token that does not begin its line. */
static bool has_blank(const struct writer *w, const struct token *t)
{
	if (!w->text)
		return true;
	/* the ends of an argument have none */ if (w->parens == w->text &&
						    (is(w->previous, '(') || is(t, ')') ||
						     (!w->rest && (is(w->previous, ',') ||
								   is(t, ',')))))
		return false;
	return t->space_before;
}

static void begin_token(struct writer *w, const struct token *t)
{
	if (!w->line_begins) {
		if (has_blank(w, t))
			buf_add_byte(w->out, ' ');
		return;
	}
	for (uint32_t i = 0; i <= w->braces && i < 40; i++)
		buf_add_str(w->out, "  ");
	w->line_begins = false;
}

static void count_parens(struct writer *w, const struct token *t)
{
	if (is(t, '(') || is(t, '[') || t->kind == C_TOKEN_CALL) {
		w->parens++;
		if (w->armed && is(t, '(') && !w->text)
			w->text = w->parens;
	} else if ((is(t, ')') || is(t, ']')) && w->parens > 0) {
		if (w->text == w->parens)
			w->text = 0;
		w->parens--;
	}
}

/* gets_one() - are there arguments behind this name, and a macro among them that makes texts? */
static bool gets_one(struct unit *u, const struct token *t)
{
	uint32_t depth = 0;
	if (!is(&t[1], '('))
		return false;
	for (t++; t->kind != C_TOKEN_END && t->kind != C_TOKEN_LINE_END; t++) {
		depth += is(t, '(');
		depth -= is(t, ')');
		if (depth == 0)
			return false;
		struct macro *m = t->atom ? macros_get(u, t->atom) : NULL;
		if (m)
			macros_check(u, m);
		if (m && m->makes_text && !is(&t[1], '('))
			return true;
	}
	return false;
}

static void write_token(struct writer *w, const struct token *t)
{
	bool lines = w->parens == 0;
	if (w->closed && !is(t, ';') && !is(t, ',') && !is(t, ')'))
		break_line(w);
	w->closed = false;
	if (is(t, '}') && lines) {
		w->braces -= w->braces > 0;
		break_line(w);
	}
	begin_token(w, t);
	buf_add(w->out, t->text, t->size);
	count_parens(w, t);
	w->armed = false;
	if (t->atom) {
		struct macro *m = macros_get(w->u, t->atom);
		if (m) {
			macros_check(w->u, m);
			bool late = m->makes_late || gets_one(w->u, t);
			m->in_text |= w->text && w->late;
			w->armed = m->makes_text || late;
			if (w->armed && !w->text) {
				w->late = late;
				w->rest = m->takes_rest;
			}
		}
		w->fn(w->arg, t, w->previous);
	}
	w->previous = t;
	w->closed = lines && is(t, '}');
	if (lines && (is(t, '{') || is(t, ';'))) {
		w->braces += is(t, '{');
		break_line(w);
	}
}

static void write_line(struct writer *w, const struct text *t, uint32_t hash)
{
	break_line(w);
	buf_add_str(w->out, "  #");
	w->line_begins = false;
	for (uint32_t i = hash + 1; t->tokens[i].kind != C_TOKEN_LINE_END; i++)
		write_token(w, &t->tokens[i]);
	break_line(w);
}

/* write_event() - from here on a macro is another one; which, its own section says. */
static void write_event(struct writer *w, const struct token *line)
{
	if (!line[1].atom)
		return;
	break_line(w);
	buf_printf(w->out, "  #%s %s", line[0].text, line[1].text);
	w->line_begins = false;
	w->fn(w->arg, &line[1], NULL);
	break_line(w);
}

static void write_tokens(struct writer *w, uint32_t file, uint32_t from, uint32_t to,
			 int depth)
{
	const struct unit_file *f = &w->u->files[file];
	for (uint32_t i = from; i < to; i++) {
		const struct token *t = &f->text->tokens[i];
		if (f->off[i] || t->kind == C_TOKEN_END)
			continue;
		if (!t->directive) {
			write_token(w, t);
			continue;
		}
		if (t->kind != C_TOKEN_HASH)
			continue;
		uint32_t name = t[1].atom;
		bool includes = name && (name == w->u->d->a_include ||
					 name == w->u->d->a_include_next);
		uint32_t in =
			includes && depth > 0 ? unit_included(w->u, file, t->start) : 0;
		if (in && w->u->files[in - 1].text) /* its lines are lines of this */
			write_tokens(w, in - 1, 0, w->u->files[in - 1].text->count,
				     depth - 1);
		else if (includes || (name && name == w->u->d->a_pragma_line))
			write_line(w, f->text, i);
		else if (name && (name == w->u->d->a_define || name == w->u->d->a_undef))
			write_event(w, &t[1]);
	}
}

void canon_statement(struct unit *u, const struct statement *s, struct buf *out,
		     canon_word *fn, void *arg)
{
	struct writer w = {.u = u, .out = out, .fn = fn, .arg = arg, .line_begins = true};
	write_tokens(&w, s->file, s->first, s->last, SPLICE_DEPTH);
	break_line(&w);
}

void canon_macro(struct unit *u, const struct macro *m, struct buf *out, canon_word *fn,
		 void *arg)
{
	for (uint32_t n = m->first; n; n = u->defines[n - 1].next) {
		const struct define *def = &u->defines[n - 1];
		const struct text *t = u->files[def->file].text;
		struct writer w = {.u = u, .out = out, .fn = fn, .arg = arg, .parens = 1};
		uint32_t i = def->hash + 2;
		buf_add_str(out, def->undoes ? "  #undef " : "  #define ");
		buf_add(out, t->tokens[i].text, t->tokens[i].size);
		if (t->tokens[++i].kind == C_TOKEN_CALL)
			buf_add_byte(
				out,
				'('); /* it touches the name, or it would be the value */
		i += t->tokens[i].kind == C_TOKEN_CALL;
		for (; t->tokens[i].kind != C_TOKEN_LINE_END; i++)
			write_token(&w, &t->tokens[i]);
		break_line(&w);
	}
}

/* note_texts() - what a macro names whose blanks count is such, too. */
static bool note_texts(const struct node *n)
{
	bool more = false;
	for (size_t i = 0; i < n->ref_count; i++) {
		const struct node *to = &n->unit->d->nodes[n->refs[i]];
		struct macro *m = to->is_macro ? &to->unit->macros[to->number] : NULL;
		more |= m && !m->in_text;
		if (m)
			m->in_text = true;
	}
	return more;
}

static void write_text(struct node *n, const struct macro *m)
{
	const struct unit *u = n->unit;
	for (uint32_t k = m->first; k; k = u->defines[k - 1].next) {
		const struct define *def = &u->defines[k - 1];
		const struct text *t = u->files[def->file].text;
		if (def->undoes)
			continue;
		buf_add_str(&n->own, "  text");
		for (uint32_t i = def->hash + 3; t->tokens[i].kind != C_TOKEN_LINE_END;
		     i++) {
			buf_add_str(&n->own, t->tokens[i].space_before ? " " : "|");
			buf_add(&n->own, t->tokens[i].text, t->tokens[i].size);
		}
		buf_add_byte(&n->own, '\n');
	}
}

void canon_texts(struct describer *d)
{
	for (bool more = true; more;) {
		more = false;
		for (uint32_t i = 0; i < d->node_count; i++) {
			const struct node *n = &d->nodes[i];
			if (n->is_macro && n->unit->macros[n->number].in_text)
				more |= note_texts(n);
		}
	}
	for (uint32_t i = 0; i < d->node_count; i++) {
		struct node *n = &d->nodes[i];
		const struct macro *m = n->is_macro ? &n->unit->macros[n->number] : NULL;
		if (m && m->in_text)
			write_text(n, m);
	}
}

/* ---- sections */
static bool same_section(const struct node *a, const struct node *b)
{
	return a->start == b->start && a->is_macro == b->is_macro &&
	       !strcmp(a->path, b->path) && a->own.size == b->own.size &&
	       !memcmp(a->own.data, b->own.data, a->own.size);
}

static uint32_t section_of(struct describer *d, uint32_t node)
{
	for (size_t i = 0; d->active_count > 1 && i < d->section_count; i++)
		if (same_section(&d->nodes[d->sections[i].node], &d->nodes[node]))
			return (uint32_t)i;
	mem_grow(d->sections, d->section_count, d->section_capacity);
	d->sections[d->section_count] = (struct section){.node = node};
	return (uint32_t)d->section_count++;
}

/* label() - NAME, or NAME#2 if another one has it. @counts: by atom. */
static const char *label(struct describer *d, const char *name, uint32_t *counts)
{
	char text[32];
	uint32_t n = ++counts[atoms_of(&d->atoms, name, strlen(name))];
	snprintf(text, sizeof text, n > 1 ? "#%u" : "", n);
	struct buf whole = {0};
	buf_add_str(&whole, name);
	buf_add_str(&whole, text);
	const char *found = arena_copy(&d->arena, whole.data, whole.size);
	buf_fini(&whole);
	return found;
}

static void give_labels(struct describer *d)
{
	for (uint32_t i = 0; i < d->node_count; i++) {
		const char *name = d->nodes[i].name;
		d->nodes[i].section = section_of(d, i);
		atoms_of(&d->atoms, name, strlen(name));
	}
	uint32_t *counts = mem_alloc(d->atoms.count * sizeof *counts);
	for (size_t i = 0; i < d->section_count; i++)
		d->sections[i].label =
			label(d, d->nodes[d->sections[i].node].name, counts);
	free(counts);
}

/* write_uses() - the sections that a section names; for a shared one, those of all its nodes. */
static void write_uses(struct describer *d, uint32_t section, uint32_t *seen)
{
	bool any = false;
	for (uint32_t n = d->sections[section].node; n < d->node_count; n++) {
		const struct node *node = &d->nodes[n];
		for (size_t i = 0; node->section == section && i < node->ref_count; i++) {
			uint32_t to = d->nodes[node->refs[i]].section;
			if (seen[to] == section + 1 || to == section)
				continue;
			seen[to] = section + 1;
			buf_add_str(&d->canonical, any ? " " : "  uses ");
			buf_add_str(&d->canonical, d->sections[to].label);
			any = true;
		}
		if (d->active_count == 1)
			break;
	}
	if (any)
		buf_add_byte(&d->canonical, '\n');
}

/* title_of() - what is reached first of what stands in the unit's own file. */
static const char *title_of(const struct describer *d, const struct unit *u)
{
	for (size_t i = 0; i < d->node_count; i++) {
		const struct node *n = &d->nodes[i];
		if (n->unit == u && !n->is_macro && u->statements[n->number].file == 0)
			return n->name;
	}
	return "";
}

static bool has_section(const struct describer *d, const struct unit *u, uint32_t section)
{
	for (size_t i = 0; i < d->node_count; i++)
		if (d->nodes[i].unit == u && d->nodes[i].section == section)
			return true;
	return false;
}

/* write_units() - whose headers of the system's read this macro, if neither all sources have it, nor the
 * entry's alone. */
static void write_units(struct describer *d, uint32_t section)
{
	size_t used = 0, having = 0;
	for (size_t i = 0; i < d->active_count; i++) {
		used += d->active[i]->is_used;
		having += d->active[i]->is_used && has_section(d, d->active[i], section);
	}
	if (having == used || (having == 1 && has_section(d, d->active[0], section)))
		return;
	for (size_t i = 0; i < d->active_count; i++)
		if (d->active[i]->is_used && has_section(d, d->active[i], section))
			buf_printf(&d->canonical, "  of %s\n", title_of(d, d->active[i]));
}

void canon_write(struct describer *d)
{
	buf_reset(&d->canonical);
	d->section_count = 0;
	give_labels(d);
	buf_printf(&d->canonical, "cashet-c 1\nentry @%s\n", d->sections[0].label);
	uint32_t *seen = mem_alloc(d->section_count * sizeof *seen);
	for (uint32_t i = 0; i < d->section_count; i++) {
		struct section *s = &d->sections[i];
		const struct node *node = &d->nodes[s->node];
		size_t from = d->canonical.size;
		buf_printf(&d->canonical, "%s %s\n", node->kind, s->label);
		buf_add(&d->canonical, node->own.data, node->own.size);
		if (node->is_macro && node->unit->macros[node->number].is_effect)
			write_units(d, i);
		write_uses(d, i, seen);
		sha256_digest(d->canonical.data + from, d->canonical.size - from,
			      s->digest);
	}
	free(seen);
	sha256_digest(d->canonical.data, d->canonical.size, d->hash);
}
