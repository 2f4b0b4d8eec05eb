/* c_tokens.c - see c_tokens.h. Joined lines are skipped by the one function that moves on, step(), so
 * that they may stand inside of any token; raw strings, where they are text, move on their own. */
#include "common/format/c_tokens.h"

#include "common/pure/sha256.h"

#include <stdio.h>
#include <string.h>

#define TOKENS_HEAD "cashet-c-tokens 1\n"
#define NOTHING (-1) /* behind the last byte */

/* c_lexer.directive: what may come next in a preprocessor line. */
enum {
	OUTSIDE,
	WANT_NAME,   /* behind # */
	WANT_HEADER, /* behind #include */
	WANT_MACRO,  /* behind #define */
	WANT_CALL,   /* behind #define NAME */
	INSIDE,
};

/* Longest first; single bytes are in no table. */
static const char marks[][5] = {
	"%:%:", "<<=", ">>=", "...", "->*", "<=>", "->", "++", "--", "<<", ">>",
	"<=",	">=",  "==",  "!=",  "&&",  "||",  "*=", "/=", "%=", "+=", "-=",
	"&=",	"^=",  "|=",  "##",  "<:",  ":>",  "<%", "%>", "%:", "::", ".*",
};

static int fail(struct c_lexer *l, size_t offset, uint32_t line, const char *what)
{
	l->failed = true;
	snprintf(l->error.what, sizeof l->error.what, "%s", what);
	l->error.line = line;
	l->error.column = 1;
	while (offset > 0 && l->data[offset - 1] != '\n')
		l->error.column += (l->data[--offset] & 0xc0) != 0x80;
	return 1;
}

/* joined() - bytes of the backslash, blanks and line end at @at; 0 if there are none. Compilers take
 * blanks between them for a slip of the hand. */
static size_t joined(const struct c_lexer *l, size_t at)
{
	if (at >= l->size || l->data[at] != '\\')
		return 0;
	size_t end = at + 1;
	while (end < l->size && memchr(" \t\f\v\r", l->data[end], 5))
		end++;
	return end < l->size && l->data[end] == '\n' ? end + 1 - at : 0;
}

static void skip_joined(struct c_lexer *l)
{
	for (size_t n; (n = joined(l, l->at)); l->line++)
		l->at += n;
}

/* The byte that comes next. */
static int look(const struct c_lexer *l)
{
	return l->at < l->size ? l->data[l->at] : NOTHING;
}

static void step(struct c_lexer *l)
{
	if (look(l) == '\n')
		l->line++;
	l->at++;
	skip_joined(l);
}

/* look_far() - the next four bytes, as they are when lines are joined; 0 behind the end. */
static void look_far(const struct c_lexer *l, char out[5])
{
	size_t at = l->at;
	memset(out, 0, 5);
	for (int i = 0; i < 4 && at < l->size; i++) {
		out[i] = (char)l->data[at++];
		for (size_t n; (n = joined(l, at));)
			at += n;
	}
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
	       c >= 0x80;
}

/* skip_comment() - at "/" and "/" or "*". Return: 0 or 1. */
static int skip_comment(struct c_lexer *l, bool whole_line)
{
	size_t start = l->at;
	uint32_t line = l->line;
	step(l);
	step(l);
	if (whole_line) {
		while (look(l) != NOTHING && look(l) != '\n')
			step(l);
		return 0;
	}
	for (int before = 0; look(l) != NOTHING; step(l)) {
		if (before == '*' && look(l) == '/') {
			step(l);
			return 0;
		}
		before = look(l);
	}
	return fail(l, start, line, "a comment has no end");
}

/* skip_space() - to the next token, or to the line end of a preprocessor line. Return: 0 or 1. */
static int skip_space(struct c_lexer *l)
{
	char next[5];
	for (;;) {
		int c = look(l);
		if (c == '\n') {
			if (l->directive != OUTSIDE)
				return 0;
			l->line_begins = true;
		} else if (c == '/') {
			look_far(l, next);
			if (next[1] != '/' && next[1] != '*')
				return 0;
			l->space = true;
			if (skip_comment(l, next[1] == '/'))
				return 1;
			continue;
		} else if (c != ' ' && c != '\t' && c != '\f' && c != '\v' && c != '\r') {
			return 0;
		}
		l->space = true;
		step(l);
	}
}

/* quote_is_text() - where compilers, too, let a quote stand alone. */
static bool quote_is_text(const struct c_lexer *l)
{
	return l->directive != OUTSIDE || l->groups > 0;
}

/* quoted() - a string or character, at its first quote. Return: 0 or 1. */
static int quoted(struct c_lexer *l, struct c_token *t)
{
	int quote = look(l), c;
	t->kind = quote == '"' ? C_TOKEN_STRING : C_TOKEN_CHARACTER;
	step(l);
	while ((c = look(l)) != quote) {
		if (c == '\n' || c == NOTHING) {
			t->kind = C_TOKEN_OTHER;
			return quote_is_text(l)
				       ? 0
				       : fail(l, t->start, t->line,
					      quote == '"'
						      ? "a string has no end in its line"
						      : "a character has no end in its "
							"line");
		}
		step(l);
		if (c == '\\' && look(l) != '\n' && look(l) != NOTHING)
			step(l);
	}
	step(l);
	return 0;
}

/* raw_string() - R"x( ... )x", at its quote: nothing in it is joined. Return: its end; 0 if it is not
 * one, SIZE_MAX if it has no end. */
static size_t raw_string(struct c_lexer *l)
{
	const uint8_t *quote = l->data + l->at, *end = l->data + l->size;
	const uint8_t *open = quote + 1;
	while (open < end && open - quote <= 17 &&
	       !memchr(" \t\v\f\r\n()\\\"", *open, 10))
		open++;
	if (open == end || *open != '(')
		return 0;
	size_t size = (size_t)(open - quote) - 1;
	uint32_t lines = 0;
	for (const uint8_t *at = open + 1; at < end; at++) {
		lines += *at == '\n';
		if (*at != ')' || (size_t)(end - at) < size + 2 || at[size + 1] != '"' ||
		    memcmp(at + 1, quote + 1, size))
			continue;
		l->line += lines;
		return (size_t)(at - l->data) + size + 2;
	}
	return SIZE_MAX;
}

static bool is_prefix(const struct c_token *t, bool *raw)
{
	static const char prefixes[][4] = {"L",	 "u",  "U",  "u8", "R",
					   "LR", "uR", "UR", "u8R"};
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		if (c_token_is(t, prefixes[i])) {
			*raw = i >= 4;
			return true;
		}
	}
	return false;
}

/* text_of() - what was read since t->start, in t->text. */
static void text_of(struct c_lexer *l, struct c_token *t)
{
	t->end = l->at; /* with lines that were joined behind its last byte */
	t->text = (const char *)l->data + t->start;
	t->size = t->end - t->start;
	if (!memchr(t->text, '\\', t->size))
		return;
	buf_reset(&l->scratch);
	for (size_t at = t->start, n; at < t->end;) {
		if ((n = joined(l, at)))
			at += n;
		else
			buf_add_byte(&l->scratch, l->data[at++]);
	}
	t->text = buf_cstr(&l->scratch);
	t->size = l->scratch.size;
}

/* word() - and the string whose prefix it turns out to be. Return: 0 or 1. */
static int word(struct c_lexer *l, struct c_token *t)
{
	bool raw = false;
	t->kind = C_TOKEN_WORD;
	while (is_letter(look(l)) || is_digit(look(l)))
		step(l);
	text_of(l, t);
	if ((look(l) != '"' && look(l) != '\'') || !is_prefix(t, &raw))
		return 0;
	if (!raw) {
		if (quoted(l, t))
			return 1;
		text_of(l, t);
		return 0;
	}
	size_t end = look(l) == '"' ? raw_string(l) : 0;
	if (end == SIZE_MAX)
		return fail(l, t->start, t->line, "a raw string has no end");
	if (end == 0)
		return 0;
	t->kind = C_TOKEN_STRING;
	l->at = t->end = end;
	t->text = (const char *)l->data + t->start;
	t->size = t->end - t->start;
	skip_joined(l);
	return 0;
}

static void number(struct c_lexer *l)
{
	for (;;) {
		int c = look(l);
		char next[5];
		if (c == '\'') {
			look_far(l, next);
			if (!is_letter((uint8_t)next[1]) && !is_digit(next[1]))
				return;
		} else if (!is_digit(c) && !is_letter(c) && c != '.') {
			return;
		}
		step(l);
		if (c != 'e' && c != 'E' && c != 'p' && c != 'P')
			continue;
		if (look(l) == '+' || look(l) == '-')
			step(l);
	}
}

static void mark(struct c_lexer *l, const char *next)
{
	size_t size = 1;
	for (size_t i = 0; i < ARRAY_LEN(marks) && size == 1; i++)
		if (!strncmp(next, marks[i], strlen(marks[i])))
			size = strlen(marks[i]);
	while (size-- > 0)
		step(l);
}

/* header() - the name behind #include, in which // and backslashes are letters. Return: whether
 * there is one. */
static bool header(struct c_lexer *l, struct c_token *t)
{
	const uint8_t *from = l->data + l->at;
	size_t left = l->size - l->at;
	if (*from != '<' && *from != '"')
		return false;
	const uint8_t *line_end = memchr(from, '\n', left);
	size_t size = line_end ? (size_t)(line_end - from) : left;
	const uint8_t *close = memchr(from + 1, *from == '<' ? '>' : '"', size - 1);
	if (!close)
		return false;
	l->at += (size_t)(close - from) + 1;
	skip_joined(l);
	t->kind = C_TOKEN_HEADER;
	return true;
}

/* directive_name() - what the word behind # lets come. */
static void directive_name(struct c_lexer *l, const struct c_token *t)
{
	l->directive = INSIDE;
	if (c_token_is(t, "include") || c_token_is(t, "include_next") ||
	    c_token_is(t, "import") || c_token_is(t, "embed"))
		l->directive = WANT_HEADER;
	else if (c_token_is(t, "define"))
		l->directive = WANT_MACRO;
	else if (c_token_is(t, "if") || c_token_is(t, "ifdef") || c_token_is(t, "ifndef"))
		l->groups++;
	else if (c_token_is(t, "endif") && l->groups > 0)
		l->groups--;
}

/* scan() - one token that is no line end. Return: 0 or 1. */
static int scan(struct c_lexer *l, struct c_token *t, bool first)
{
	int c = look(l);
	char next[5];
	look_far(l, next);
	if (l->directive == WANT_HEADER && header(l, t)) {
		text_of(l, t);
		return 0;
	}
	if (is_letter(c))
		return word(l, t);
	if (c == '"' || c == '\'') {
		if (quoted(l, t))
			return 1;
	} else if (is_digit(c) || (c == '.' && is_digit(next[1]))) {
		t->kind = C_TOKEN_NUMBER;
		number(l);
	} else if (c == '\\' || c == '@' || c == '`' || c < 0x20 || c == 0x7f) {
		t->kind = C_TOKEN_OTHER;
		step(l);
	} else {
		t->kind = C_TOKEN_MARK;
		mark(l, next);
	}
	text_of(l, t);
	if (first && (c_token_is(t, "#") || c_token_is(t, "%:")))
		t->kind = C_TOKEN_HASH;
	return 0;
}

static void place(struct c_lexer *l, const struct c_token *t)
{
	uint8_t was = l->directive;
	if (t->kind == C_TOKEN_HASH)
		l->directive = WANT_NAME;
	else if (was == WANT_NAME)
		directive_name(l, t);
	else if (was != OUTSIDE)
		l->directive = was == WANT_MACRO ? WANT_CALL : INSIDE;
}

void c_lexer_init(struct c_lexer *l, const void *data, size_t size)
{
	*l = (struct c_lexer){.data = data, .size = size, .line = 1, .line_begins = true};
	const uint8_t *bytes = data;
	if (size > C_TOKENS_SIZE_MAX) {
		l->failed = true;
		snprintf(l->error.what, sizeof l->error.what,
			 "the file is larger than %u MiB", C_TOKENS_SIZE_MAX >> 20);
		return;
	}
	if (size >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3))
		l->at = 3;
	for (size_t i = 0; i < size; i++) {
		l->line += bytes[i] == '\n';
		/* For one compiler a line end, for another a blank. */
		if (bytes[i] == '\r' && (i + 1 == size || bytes[i + 1] != '\n')) {
			fail(l, i, l->line,
			     "there is a carriage return without a line feed");
			return;
		}
		if (bytes[i] == 0) {
			fail(l, i, l->line, "there is a NUL byte");
			return;
		}
	}
	l->line = 1;
	skip_joined(l);
}

void c_lexer_fini(struct c_lexer *l)
{
	buf_fini(&l->scratch);
}

int c_lexer_next(struct c_lexer *l, struct c_token *t)
{
	*t = (struct c_token){.text = ""};
	if (l->failed || skip_space(l))
		return 1;
	t->start = t->end = l->at;
	t->line = l->line;
	t->space_before = l->space;
	if (l->directive != OUTSIDE && (look(l) == '\n' || look(l) == NOTHING)) {
		t->kind = C_TOKEN_LINE_END;
		l->directive = OUTSIDE;
		return 0;
	}
	if (look(l) == NOTHING) {
		t->kind = C_TOKEN_END;
		return 0;
	}
	bool first = l->line_begins, call = l->directive == WANT_CALL;
	l->line_begins = l->space = false;
	if (scan(l, t, first))
		return 1;
	if (l->scratch.failed)
		return fail(l, t->start, t->line, "there is not enough memory");
	if (call && !t->space_before && c_token_is(t, "("))
		t->kind = C_TOKEN_CALL;
	place(l, t);
	return 0;
}

bool c_token_is(const struct c_token *token, const char *text)
{
	return token->size == strlen(text) && !memcmp(token->text, text, token->size);
}

/* The numbers of the kinds are part of the digest. */
_Static_assert(C_TOKEN_LINE_END == 10, "kinds keep their numbers");

static void hash_token(struct sha256 *s, const struct c_token *t)
{
	const uint8_t head[5] = {(uint8_t)t->kind, (uint8_t)t->size,
				 (uint8_t)(t->size >> 8), (uint8_t)(t->size >> 16),
				 (uint8_t)(t->size >> 24)};
	sha256_update(s, head, sizeof head);
	sha256_update(s, t->text, t->size);
}

int c_tokens_digest(const void *data, size_t size, uint8_t out[DIGEST_SIZE],
		    struct c_tokens_error *error)
{
	struct c_lexer l;
	struct c_token t = {.kind = C_TOKEN_LINE_END};
	struct sha256 s;
	sha256_init(&s);
	sha256_update(&s, TOKENS_HEAD, strlen(TOKENS_HEAD));
	c_lexer_init(&l, data, size);
	while (t.kind != C_TOKEN_END && !c_lexer_next(&l, &t))
		hash_token(&s, &t);
	if (!l.failed)
		sha256_final(&s, out);
	else if (error)
		*error = l.error;
	bool failed = l.failed;
	c_lexer_fini(&l);
	return failed;
}
