/* text.c - a file of the user's: bytes that libclang has read, as tokens. */
#include "runners/c/describe/describer.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/pure/utf8.h"

#include <string.h>

uint32_t describer_column(const struct text *t, uint32_t offset)
{
	uint32_t column = 1;
	while (offset > 0 && t->data[offset - 1] != '\n')
		column += (t->data[--offset] & 0xc0) != 0x80;
	return column;
}

static const struct text *find(const struct describer *d, const char *path,
			       const char *data, size_t size)
{
	for (size_t i = 0; i < d->text_count; i++) {
		const struct text *t = d->texts[i];
		if (!strcmp(t->path, path) && t->size == size &&
		    !memcmp(t->data, data, size))
			return t;
	}
	return NULL;
}

static int fail_lexer(struct describer *d, const char *path, const struct c_lexer *l)
{
	const char *name = strstr(l->error.what, "NUL")	     ? "null-byte"
			   : strstr(l->error.what, "larger") ? "too-large"
							     : "syntax";
	return describer_fail(d, name, path, l->error.line, l->error.column, "%s",
			      l->error.what);
}

static int add_token(struct describer *d, struct text *t, uint32_t *capacity,
		     const struct c_token *from, uint32_t directive)
{
	if (from->kind != C_TOKEN_OTHER && !utf8_valid(from->text, from->size))
		return describer_fail(
			d, "encoding", t->path, from->line,
			describer_column(t, (uint32_t)from->start),
			"these bytes are not UTF-8: outside of comments, a source "
			"has to be");
	bool owned = from->text < t->data || from->text >= t->data + t->size;
	uint32_t atom = 0;
	if (from->kind == C_TOKEN_WORD)
		atom = atoms_of(&d->atoms, from->text, from->size);
	mem_grow(t->tokens, t->count, *capacity);
	t->tokens[t->count++] = (struct token){
		.atom = atom,
		.line = from->line,
		.start = (uint32_t)from->start,
		.end = (uint32_t)from->end,
		.size = (uint32_t)from->size,
		.directive = directive,
		.text = atom	? atoms_text(&d->atoms, atom)
			: owned ? arena_copy(&d->arena, from->text, from->size)
				: from->text,
		.kind = (uint8_t)from->kind,
		.space_before = from->space_before,
	};
	return 0;
}

static int read_tokens(struct describer *d, struct text *t)
{
	struct c_lexer l;
	struct c_token token;
	uint32_t capacity = 0, directive = 0;
	int status = 0;
	c_lexer_init(&l, t->data, t->size);
	do {
		if ((status = c_lexer_next(&l, &token))) {
			fail_lexer(d, t->path, &l);
			break;
		}
		if (token.kind == C_TOKEN_HASH)
			directive = t->count + 1;
		status = add_token(d, t, &capacity, &token, directive);
		if (token.kind == C_TOKEN_LINE_END)
			directive = 0;
	} while (!status && token.kind != C_TOKEN_END);
	c_lexer_fini(&l);
	return status;
}

/* check_trigraphs() - where they have a meaning: they hide what is a comment, a text, a line. */
static int check_trigraphs(struct describer *d, const struct text *t)
{
	const char *at = d->flags->trigraphs ? t->data : NULL, *end = t->data + t->size;
	uint32_t line = 1;
	for (; at && at + 2 < end; at++) {
		line += *at == '\n';
		if (at[0] == '?' && at[1] == '?' && strchr("=/'()!<>-", at[2]))
			return describer_fail(
				d, "syntax", t->path, line,
				describer_column(t, (uint32_t)(at - t->data)),
				"%.3s is a trigraph here: write the character that it "
				"stands for, or give no -std, or one of gnu",
				at);
	}
	return 0;
}

/* find_guard() - #ifndef X, #define X at the begin of the file. */
static void find_guard(struct describer *d, struct text *t)
{
	const struct token *k = t->tokens;
	if (t->count < 8 || k[0].kind != C_TOKEN_HASH || k[2].atom == 0 ||
	    k[1].atom != atoms_of(&d->atoms, "ifndef", 6) ||
	    k[3].kind != C_TOKEN_LINE_END)
		return;
	if (k[4].kind == C_TOKEN_HASH && k[5].atom == d->a_define &&
	    k[6].atom == k[2].atom && k[7].kind == C_TOKEN_LINE_END)
		t->guard = k[2].atom;
}

struct text *text_get(struct describer *d, const char *path, const char *data,
		      size_t size)
{
	const struct text *known = find(d, path, data, size);
	if (known)
		return (struct text *)(uintptr_t)known;
	if (d->text_count == DESCRIBE_FILES_MAX) {
		describer_fail(d, "too-many-files", path, 0, 0,
			       "more than %d files are included", DESCRIBE_FILES_MAX);
		return NULL;
	}
	if (size > DESCRIBE_BYTES_MAX - d->bytes) {
		describer_fail(d, "too-large", path, 0, 0,
			       "all files together are larger than "
			       "%u MiB",
			       DESCRIBE_BYTES_MAX >> 20);
		return NULL;
	}
	struct text *t = arena_alloc(&d->arena, sizeof *t);
	*t = (struct text){.path = path, .data = data, .size = size};
	mem_grow(d->texts, d->text_count, d->text_capacity);
	d->texts[d->text_count++] = t;
	d->bytes += size;
	sha256_digest(data, size, t->digest);
	if (read_tokens(d, t) || check_trigraphs(d, t))
		return NULL;
	find_guard(d, t);
	return t;
}

uint32_t text_line_end(const struct text *t, uint32_t hash)
{
	uint32_t i = hash;
	while (t->tokens[i].kind != C_TOKEN_LINE_END && t->tokens[i].kind != C_TOKEN_END)
		i++;
	return i;
}

uint32_t text_at(const struct text *t, uint32_t offset)
{
	uint32_t low = 0, high = t->count - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (t->tokens[middle].start < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
